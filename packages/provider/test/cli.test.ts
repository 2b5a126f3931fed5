import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import { aChannel, aVoucher, identity } from '../src/ledger/fixtures.ts'
import type { Ledger } from '../src/ledger/Ledger.ts'
import { postgresBin, startPostgres } from './startPostgres.ts'

const day = 24 * 60 * 60 * 1000
const txHash = `0x${'7a'.repeat(32)}` as const

describe('drain-provider', () => {
  const folder = mkdtempSync(join(tmpdir(), 'drain-cli-'))
  const file = join(folder, 'drain.db')
  const [first, second] = [aChannel({ deposit: 5_000_000n }), aChannel({ deposit: 5_000_000n })]
  let clock = Date.parse('2026-01-30T12:00:00Z')
  let ledger: Ledger

  async function charge(channel: typeof first, nonce: bigint, cost: bigint): Promise<void> {
    const voucher = aVoucher(channel.deposit, nonce)
    const reserved = await ledger.reserve({ channel, voucher, quote: cost })
    if (!reserved.ok) throw new Error(reserved.code)
    await ledger.capture(reserved.reservationId, cost)
  }

  async function drain(...args: string[]) {
    const output = { stdout: '', stderr: '' }
    const writing = (name: keyof typeof output) =>
      new Writable({
        write(chunk, _, done) {
          output[name] += chunk
          done()
        },
      })
    const code = await main(args, { stdout: writing('stdout'), stderr: writing('stderr') })
    return { code, ...output }
  }

  beforeAll(async () => {
    ledger = sqliteLedger(file, { now: () => clock, log: () => {} })(identity)
    await charge(first, 1n, 1_500_000n)
    await charge(first, 2n, 500_000n)
    await charge(second, 1n, 1n)
    clock += day
    await charge(second, 2n, 41n)
    clock += day
    await ledger.beginClaim(first.channelId, 2_000_000n)
    const receipt = { txHash, fee: 40_000n, gasCost: 2_000_000_000_000_000n }
    await ledger.endClaim({ ...first, claimed: 2_000_000n }, receipt)
    await charge(first, 3n, 7n)
  })

  afterAll(async () => {
    await ledger.close()
    rmSync(folder, { recursive: true })
  })

  const consumer = first.consumer
  const expected = [
    'day,channelId,consumer,requests,charged,claimed,fee,gasCost,transactions',
    `2026-01-30,${first.channelId},${consumer},2,2,0,0,0,`,
    `2026-01-30,${second.channelId},${consumer},1,0.000001,0,0,0,`,
    `2026-01-31,${second.channelId},${consumer},1,0.000041,0,0,0,`,
    `2026-02-01,${first.channelId},${consumer},1,0.000007,2,0.04,0.002,${txHash}`,
  ]

  test('exports charges, claims and fees by day and channel, while the provider has the ledger open', async () => {
    const { code, stdout, stderr } = await drain('export', '--ledger', file)
    expect(stdout.trimEnd().split('\n')).toEqual(expected)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '4 rows\n' })
  })

  test('exports a range of days, both included', async () => {
    const { stdout } = await drain('export', '--ledger', file, '--from', '2026-01-31', '--to', '2026-01-31')
    expect(stdout.trimEnd().split('\n')).toEqual([expected[0], expected[3]])
  })

  test('exports JSON, into a new file only', async () => {
    const out = join(folder, 'accounts.json')
    expect((await drain('export', '--ledger', file, '--format', 'json', '--out', out)).code).toBe(0)
    const rows = JSON.parse(readFileSync(out, 'utf8'))
    expect(rows).toHaveLength(4)
    expect(rows[3]).toMatchObject({ day: '2026-02-01', claimed: '2', transactions: [txHash] })
    const again = await drain('export', '--ledger', file, '--format', 'json', '--out', out)
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('EEXIST') })
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual(rows)
  })

  test('changes nothing: not the ledger, not a copy that a provider would freeze, not a missing file', async () => {
    const before = await ledger.get(first.channelId)
    const copy = join(folder, 'copy.db')
    expect((await drain('backup', '--ledger', file, '--out', copy)).code).toBe(0)
    const bytes = readFileSync(copy)
    expect((await drain('export', '--ledger', copy)).stdout.trimEnd().split('\n')).toEqual(expected)
    expect(readFileSync(copy)).toEqual(bytes)
    expect(await ledger.get(first.channelId)).toEqual(before)

    const missing = join(folder, 'missing.db')
    const { code, stderr } = await drain('export', '--ledger', missing)
    expect(code).toBe(1)
    expect(stderr).toContain('missing.db')
    expect(existsSync(missing)).toBe(false)
  })

  test('a provider that starts from a backup finds its channels frozen', async () => {
    const copy = join(folder, 'frozen.db')
    await drain('backup', '--ledger', file, '--out', copy)
    const restored = sqliteLedger(copy, { now: () => clock, log: () => {} })(identity)
    expect((await restored.get(first.channelId))?.status).toBe('closing')
    await restored.close()
  })

  test('refuses a file that is no ledger', async () => {
    const other = join(folder, 'other.db')
    writeFileSync(other, 'not a database, but long enough to be taken for one'.repeat(100))
    const { code, stderr } = await drain('export', '--ledger', other)
    expect(code).toBe(1)
    expect(stderr).toContain('other.db')
  })

  test.skipIf(!postgresBin)('exports from PostgreSQL', async () => {
    const server = await startPostgres()
    try {
      const stored = postgresLedger(server.connection, { schema: 'books', log: () => {} })(identity)
      const reserved = await stored.reserve({ channel: first, voucher: aVoucher(100n, 1n), quote: 60n })
      if (!reserved.ok) throw new Error(reserved.code)
      await stored.capture(reserved.reservationId, 42n)
      const { user, host, database } = server.connection
      const url = `postgresql://${user}@localhost/${database}?host=${encodeURIComponent(host)}`
      const { stdout, stderr } = await drain('export', '--ledger', url, '--schema', 'books')
      expect(stderr).toBe('1 rows\n')
      const today = new Date().toISOString().slice(0, 10)
      expect(stdout).toContain(`\n${today},${first.channelId},${consumer},1,0.000042,0,0,0,\n`)
      const nowhere = await drain('export', '--ledger', url, '--schema', 'nobody')
      expect(nowhere).toMatchObject({ code: 1, stdout: '' })
      await stored.close()
    } finally {
      await server.close()
    }
  })

  test.each([
    [['explode'], 'The commands are'],
    [['export'], 'Name the ledger'],
    [['export', '--ledger', file, '--from', '2026-02-30'], 'is not a day'],
    [['export', '--ledger', file, '--format', 'xml'], 'csv or json'],
    [['export', 'twice', '--ledger', file], 'no place for'],
    [['backup', '--ledger', file], 'Name the copy'],
    [['export', '--nonsense'], 'nonsense'],
  ])('explains what is wrong with %j', async (args, message) => {
    const { code, stdout, stderr } = await drain(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).toContain('Usage:')
  })
})
