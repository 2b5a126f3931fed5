/** Keystores that are made here, and their way back; packages/provider/test/keys.test.ts opens those of others. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, expect, test } from 'vitest'
import { Keystore, loadKey } from '../src/node/index.ts'

const cast = fileURLToPath(new URL('../../../node_modules/.bin/cast', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'drain-keystore-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a keystore made here opens here and with `cast wallet`, and has the key nowhere in it', async () => {
  const key = generatePrivateKey()
  const password = 'wörd with spaces, äöü 🔑 '
  const text = Keystore.encrypt(key, password)
  expect(text.toLowerCase()).not.toContain(key.slice(2))
  const file = join(folder, 'key')
  writeFileSync(file, text)
  const { address } = privateKeyToAccount(key)
  const env = { DRAIN_KEYSTORE: file }
  const account = await loadKey({ env, provider: address, ask: async () => password })
  expect(account.address).toBe(address)
  await expect(loadKey({ env, ask: async () => `${password}x` })).rejects.toMatchObject({
    code: 'keystore_password',
  })
  const options = ['wallet', 'address', '--keystore', file, '--password', password]
  expect(execFileSync(cast, options, { encoding: 'utf8' }).trim()).toBe(address)
})

test('two of the same key have nothing in common but its address', () => {
  const key = generatePrivateKey()
  const [one, other] = [1, 2].map(() => JSON.parse(Keystore.encrypt(key, 'the same')))
  expect(one.address).toBe(other.address)
  for (const field of ['ciphertext', 'mac']) expect(one.crypto[field]).not.toBe(other.crypto[field])
  expect(one.crypto.cipherparams.iv).not.toBe(other.crypto.cipherparams.iv)
  expect(one.crypto.kdfparams.salt).not.toBe(other.crypto.kdfparams.salt)
})

test('an empty password protects nothing', () => {
  expect(() => Keystore.encrypt(generatePrivateKey(), '')).toThrow(
    expect.objectContaining({ code: 'password_missing' }),
  )
})
