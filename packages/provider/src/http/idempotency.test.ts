import { expect, test } from 'vitest'
import { readKey } from './idempotency.ts'

test.each([0, 1, 4_086, 4_087, 4_088, 100_000])(
  'a body of %i bytes is told apart by its SHA-256',
  async (length) => {
    const source = new Uint8Array(length).fill(7)
    const request = { method: 'POST', url: 'http://provider.test/joke?of=1', headers: new Headers() }
    const read = await readKey(request, 'key', { maxBytes: 1_000_000, source })
    const hashed = Buffer.concat([Buffer.from('["?of=1"]\n'), source])
    const digest = Buffer.from(await crypto.subtle.digest('SHA-256', hashed)).toString('hex')
    expect(read).toMatchObject({ ok: true, key: { fingerprint: `0x${digest}` } })
  },
)
