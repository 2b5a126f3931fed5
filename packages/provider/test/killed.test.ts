/** A provider that is killed before any of its steps: its successor finds books and chain in agreement, or brings them there. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LedgerOpener } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Hex, toHex } from 'viem'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { alarms } from '../src/ledger/alarms.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { startSource } from './sourceProcess.ts'
import { type Postgres, postgresBin, startPostgres } from './startPostgres.ts'

let fixture: Fixture
let server: Postgres | undefined

beforeAll(async () => {
  fixture = await startFixture()
  if (postgresBin) server = await startPostgres()
})
// Between the claims of one test and the ledgers of the next.
beforeEach(() => fixture.chain.testClient.mine({ blocks: 20 }))
afterAll(async () => {
  await fixture?.close()
  await server?.close()
})

type Database = Postgres['connection']

/** Where a ledger is, for the child; and opened here, once the leases of the dead are over. */
type Place = { input: { path: string } | { postgres: Database }; later: LedgerOpener }
type Places = { at(name: string): Place; copy(from: string, to: string): Promise<unknown> }

const laterMs = 60_000
const fileOf = (name: string) => join(fixture.folder, `${name}.db`)

const files: Places = {
  at: (name) => ({
    input: { path: fileOf(name) },
    later: sqliteLedger(fileOf(name), { now: () => Date.now() + laterMs, log: () => {} }),
  }),
  copy: async (from, to) => copyFileSync(fileOf(from), fileOf(to)),
}

const databases: Places = {
  at(database) {
    const postgres = { ...(server as Postgres).connection, database }
    return {
      input: { postgres },
      later: postgresLedger(postgres, { clockOffset: () => laterMs, log: () => {} }),
    }
  },
  copy: async (from, to) => server?.sql(`CREATE DATABASE ${to} OWNER drain TEMPLATE ${from}`),
}

/** Runs the child until it is killed before a step, or has done its work. Meanwhile `beside` is done again and again. */
async function settling(input: object, step: number, beside?: () => Promise<unknown>) {
  const { chain } = fixture
  const config = {
    ...{ ...input, chainId: chain.chainId, rpcUrl: chain.rpcUrl },
    ...{ contractAddress: chain.deployment.contract, usdcAddress: chain.deployment.token },
    privateKey: toHex(chain.accounts[1].getHdKey().privateKey ?? new Uint8Array()),
  }
  const { ended, output } = startSource('../test/settling.child.ts', [JSON.stringify(config), String(step)])
  let end: Awaited<typeof ended> | undefined
  const ending = ended.then((how) => {
    end = how
  })
  while (beside && end === undefined) {
    await beside()
    await Promise.race([ending, new Promise((resolve) => setTimeout(resolve, 100))])
  }
  await ending
  return { end, ...output }
}

/** Makes blocks in which gas costs more than the first transaction pays that waits for one. */
function dearBlocks(): () => Promise<void> {
  const { testClient } = fixture.chain
  const address = fixture.provider.address.toLowerCase()
  let first: bigint | undefined
  return async () => {
    const { pending } = await testClient.getTxpoolContent()
    const ofOurs = Object.entries(pending).find(([from]) => from.toLowerCase() === address)
    const [waiting] = Object.values(ofOurs?.[1] ?? {})
    const fee = waiting && BigInt(waiting.maxFeePerGas ?? 0)
    first ??= fee
    if (first !== undefined && fee === first)
      await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: first * 2n })
    await testClient.mine({ blocks: 1 })
  }
}

async function all<item>(items: AsyncIterable<item>): Promise<item[]> {
  const found: item[] = []
  for await (const item of items) found.push(item)
  return found
}

const settle = { threshold: '0.1', nativePrice: '0.000001' }

/** `steps`: fewer would mean that something is not done, or not counted. */
type Scenario = { work: 'round' | 'raise' | 'close'; finality: number; places: Places; steps: number }

const scenarios: [string, Scenario][] = [
  ['a round of claims, on SQLite', { work: 'round', finality: 0, places: files, steps: 8 }],
  [
    'a claim that is raised and final after 3 blocks, on SQLite',
    { work: 'raise', finality: 3, places: files, steps: 9 },
  ],
  [
    `a close that is final after 3 blocks, on ${postgresBin ? 'PostgreSQL' : 'SQLite'}`,
    { work: 'close', finality: 3, places: postgresBin ? databases : files, steps: 9 },
  ],
]

test.each(scenarios)(
  'killed at any step of %s: books and chain agree afterwards, and nothing is sent twice',
  async (_, { work, finality, places, steps }) => {
    const { publicClient, testClient } = fixture.chain
    const count = work === 'round' ? 2 : 1
    const isClose = work === 'close'
    if (places === databases) await places.copy('drain', work)
    const config = { finality: BigInt(finality), exposure: '10', confirmations: () => 0n }
    const original = { ...config, ledger: places.at(work).later }
    const beginning = fixture.paywall(original)
    await beginning.settler.run() // follows the chain from here
    await beginning.close()
    const { paywall, ids } = await fixture.owing(count, 100_000n, original)
    await paywall.close()
    const [before, balance] = [await fixture.sent(), await fixture.balance(fixture.provider.address)]

    let step = 1
    for (; ; step += 1) {
      const at = `killed at step ${step}`
      const snapshot = await testClient.snapshot()
      await places.copy(work, `${work}_${step}`)
      const { input, later } = places.at(`${work}_${step}`)
      await testClient.setAutomine(work !== 'raise')
      const mine = work === 'raise' ? dearBlocks() : () => testClient.mine({ blocks: 1 })
      const { end, stdout, stderr } = await settling(
        { ...input, work, finality, settle: work === 'round' && settle },
        step,
        work === 'round' ? undefined : mine,
      )
      await testClient.setAutomine(true)
      if (end !== 'SIGKILL') {
        expect({ end, stderr }).toEqual({ end: 0, stderr: '' })
        // One more or less by when blocks are seen; none was left out.
        expect(Number(stdout)).toBeLessThan(step)
        break
      }
      const clock = () => Date.now() + laterMs
      const again = fixture.paywall({ ...config, settle: work === 'round' && settle, ledger: later, clock })
      if (isClose) {
        // Its consumer has had no answer.
        const state = await again.ledger.get(ids[0] as Hex)
        if (!state) throw new Error('unknown channel')
        const closing = await again.closeChannel({ ...state, id: state.channelId })
        expect(closing, at).toMatchObject({ finalAmount: 100_000n })
      }
      await expect
        .poll(
          async () => {
            await testClient.mine({ blocks: 1 })
            await again.settler.run()
            if (work === 'raise') await again.settlement.claimAll(1n)
            return (
              (await again.settler.transactions.unsettled()).length === 0 &&
              (await all(again.ledger.claims())).length
            )
          },
          { message: at },
        )
        .toBe(count)

      for (const id of ids) {
        expect(await again.ledger.get(id), at).toMatchObject({
          ...{ claimed: 100_000n, charged: 100_000n, claiming: 100_000n, alarm: false },
          status: isClose ? 'closed' : 'open',
        })
      }
      const paid = (await fixture.balance(fixture.provider.address)) - balance
      expect(paid, at).toBe(BigInt(count) * 100_000n)
      expect(await fixture.sent(), at).toBe(before + 1)
      const records = await all(again.ledger.claims())
      expect(records.map(({ channelId }) => channelId).sort(), at).toEqual([...ids].sort())
      const receipt = await publicClient.getTransactionReceipt({ hash: records[0]?.txHash as Hex })
      const gas = records.reduce((sum, { gasCost }) => sum + gasCost, 0n)
      expect(gas, at).toBe(receipt.gasUsed * receipt.effectiveGasPrice)
      expect(await all(alarms(again.ledger.notebook)), at).toEqual([])
      await again.close()
      await testClient.revert({ id: snapshot })
    }
    expect(step - 1).toBeGreaterThanOrEqual(steps)
  },
  600_000,
)

test('the one who stands by takes over by itself, 20 seconds after the last beat of one that was killed', async () => {
  const path = fileOf('led')
  const { paywall, ids } = await fixture.owing(1, 100_000n, { ledger: files.at('led').later })
  await paywall.close()
  const before = await fixture.sent()
  expect((await settling({ path, settle }, 1)).end).toBe('SIGKILL')
  const diedBefore = Date.now()
  let now = diedBefore
  const ledger = sqliteLedger(path, { now: () => now, log: () => {} })
  const successor = fixture.paywall({ settle, ledger })
  const [lease] = await all(successor.ledger.notebook.read('lease/settler'))
  const { until } = JSON.parse(lease?.text ?? '') as { until: number }
  expect(until).toBeLessThanOrEqual(diedBefore + 20_000)
  now = until - 1
  await successor.settler.run()
  expect(await fixture.sent()).toBe(before)
  now = until
  await expect.poll(() => fixture.claimed(ids[0] as Hex)).toBe(100_000n)
})
