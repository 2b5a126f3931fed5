/** What the accounts say of a settlement beside what was claimed: gas that paid nothing, and what was claimed beyond the charges. */
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { LedgerOpener, Paywall } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Hex, parseEther, parseGwei } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import type { Notebook } from '../src/ledger/Notebook.ts'
import { createJournal } from '../src/settle/Journal.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { type Postgres, postgresBin, startPostgres } from './startPostgres.ts'

let fixture: Fixture
let postgres: Postgres | undefined
beforeAll(async () => {
  fixture = await startFixture()
  postgres = postgresBin ? await startPostgres() : undefined
})
afterAll(async () => {
  await fixture?.close()
  await postgres?.close()
})

async function drain(...args: string[]): Promise<{ code: number; text: string }> {
  let text = ''
  const stdout = new Writable({
    write(chunk, _, done) {
      text += chunk
      done()
    },
  })
  const stderr = new Writable({ write: (_chunk, _encoding, done) => done() })
  return { code: await main(args, { stdout, stderr }), text }
}

const stores = [
  { name: 'SQLite', isThere: true },
  { name: 'PostgreSQL', isThere: Boolean(postgresBin) },
]

describe.each(stores)('in $name', ({ name, isThere }) => {
  const only = isThere ? test : test.skip

  /** A ledger of its own, and what the commands name it. */
  function store(schema: string): { ledger: LedgerOpener; args: string[] } {
    if (name === 'SQLite') {
      const path = join(fixture.folder, `${schema}.db`)
      return { ledger: sqliteLedger(path, { log: () => {} }), args: ['--ledger', path] }
    }
    if (!postgres) throw new Error('no PostgreSQL')
    const { user, host, database } = postgres.connection
    const url = `postgresql://${user}@localhost/${database}?host=${encodeURIComponent(host)}`
    const ledger = postgresLedger(postgres.connection, { schema, log: () => {} })
    return { ledger, args: ['--ledger', url, '--schema', schema] }
  }

  const rowsOf = async (args: string[]) =>
    JSON.parse((await drain('export', ...args, '--format', 'json')).text)
  const statusOf = async (args: string[]) => JSON.parse((await drain('status', ...args, '--json')).text)

  /** A claim that runs out of gas. Resolves with what it cost. */
  async function fail(paywall: Paywall, channelId: Hex): Promise<{ hash: Hex; cost: bigint }> {
    const { publicClient } = fixture.chain
    const { transactions } = paywall.settler
    const state = await paywall.ledger.get(channelId)
    const { amount = 0n, nonce = 0n, signature = '0x' } = state?.highest ?? {}
    const entry = await transactions.send({
      ...{ kind: 'claim', functionName: 'claim', args: [channelId, amount, nonce, signature], takes: [] },
      fees: { gas: 40_000n, gasPrice: parseGwei('20'), limit: parseGwei('20') },
    })
    const { receipt } = await transactions.mined(entry)
    expect(receipt?.status).toBe('reverted')
    await transactions.poll()
    const hash = receipt?.transactionHash as Hex
    const { gasUsed, effectiveGasPrice } = await publicClient.getTransactionReceipt({ hash })
    return { hash, cost: gasUsed * effectiveGasPrice }
  }

  only('gas of a transaction that failed is kept, with what it was for', async () => {
    const { ledger, args } = store('failed_gas')
    const { paywall, ids } = await fixture.owing(1, 500_000n, { ledger })
    const id = ids[0] as Hex
    const failed = await fail(paywall, id)
    await paywall.settlement.claim(id)
    const rows = await rowsOf(args)
    expect(rows).toMatchObject([
      { channelId: id, claimed: '0.5', kind: null },
      { channelId: null, consumer: null, claimed: '0', kind: 'claim', transactions: [failed.hash] },
    ])
    expect(parseEther(rows[1].gasCost)).toBe(failed.cost)
    const spent = rows.reduce(
      (sum: bigint, { gasCost }: { gasCost: string }) => sum + parseEther(gasCost),
      0n,
    )
    expect(parseEther((await statusOf(args)).gasSpent)).toBe(spent)
    const { text } = await drain('export', ...args)
    expect(text).toContain(`,,,0,0,0,0,${rows[1].gasCost},${failed.hash},claim\n`)
  })

  only('what was spent does not shrink when the journal forgets, wherever that is broken off', async () => {
    const { ledger, args } = store('old_gas')
    const { paywall, ids } = await fixture.owing(2, 500_000n, { ledger })
    const { notebook } = paywall.ledger
    await fail(paywall, ids[0] as Hex)
    for (const id of ids) await paywall.settlement.claim(id)
    const [before, rows] = [await statusOf(args), await rowsOf(args)]
    expect(parseEther(before.gasSpent)).toBe(paywall.settler.transactions.gasSpent)

    let left = 1
    const dying: Notebook = {
      read: (...range) => notebook.read(...range),
      async write(key, decide) {
        if (key.startsWith('tx/') && left-- === 0) throw new Error('the process dies here')
        return notebook.write(key, decide)
      },
    }
    const journalOn = (notes: Notebook) => createJournal(notes, fixture.provider.address)
    const later = Date.now() + 1
    await journalOn(notebook).unsettled() // so that it knows that all are settled
    await expect(journalOn(dying).prune(later)).rejects.toThrow('dies here')
    expect((await statusOf(args)).gasSpent).toBe(before.gasSpent)
    expect(await journalOn(notebook).prune(later)).toBe(2)
    expect(await journalOn(notebook).prune(later)).toBe(0)
    expect((await statusOf(args)).gasSpent).toBe(before.gasSpent)
    expect(await rowsOf(args)).toEqual(rows)
  })

  only('what was claimed above what was charged is told as the consumers’ unused credit', async () => {
    const { ledger, args } = store('unused')
    const features = ['open', 'claim', 'close', 'cooperativeClose'] as const
    const deployment = { ...fixture.chain.deployment, features }
    const { paywall, ids } = await fixture.owing(1, 400_000n, { ledger, deployment })
    const { ids: others } = await fixture.owing(1, 100_000n, { ledger, deployment })
    const state = await paywall.ledger.get(ids[0] as Hex)
    if (!state) throw new Error('no channel')
    await paywall.settlement.claimMany([state], { signed: true })
    expect([await fixture.claimed(ids[0] as Hex), await fixture.claimed(others[0] as Hex)]).toEqual([
      400_001n,
      0n,
    ])
    expect(await statusOf(args)).toMatchObject({
      ...{ earned: '0.5', claimed: '0.400001', unclaimed: '0.1', unused: '0.000001' },
    })
    const { text } = await drain('status', ...args)
    expect(text).toContain('claimed    0.400001 USDC (0.000001 more than charged: unused credit)\n')
    expect((await paywall.metrics.render()).text).toContain('drain_unclaimed_base_units 100000\n')
  })
})

test('status says that nobody follows the chain, and ends with 3', async () => {
  const path = join(fixture.folder, 'unread.db')
  const paywall = fixture.paywall({ ledger: sqliteLedger(path, { log: () => {} }) })
  await paywall.settler.run()
  const args = ['status', '--ledger', path, '--rpc', fixture.chain.rpcUrl]
  const report = async () => {
    const { code, text } = await drain(...args, '--json')
    return { code, ...JSON.parse(text) }
  }
  expect(await report()).toMatchObject({ code: 0, cursor: { behind: '0', unreadFor: '0' } })
  await fixture.chain.testClient.mine({ blocks: 50, interval: 10 })
  const { code, needsAttention, cursor } = await report()
  expect([code, needsAttention, cursor.behind]).toEqual([3, true, '50'])
  expect(Number(cursor.unreadFor)).toBeGreaterThanOrEqual(480)
  expect((await drain(...args)).text).toMatch(/50 behind the head: NOT FOLLOWED, unread for \d+ s$/m)
  await paywall.settler.run()
  expect(await report()).toMatchObject({ code: 0, needsAttention: false, cursor: { behind: '0' } })
})
