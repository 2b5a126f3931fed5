/** Gifts that no block takes, since gas has risen: paid more for, up to a ceiling, and never given twice. */
import pino from 'pino'
import { type Address, type Hex, parseEther, parseGwei, parseTransaction } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { databases } from '../../test/databases.ts'
import { dyingDatabase } from '../../test/dyingDatabase.ts'
import { dollars, type FundChain, gift, startFundChain } from '../../test/fundRooms.ts'
import type { FundSettings, Settings } from '../settings.ts'
import type { Database } from '../store/Database.ts'
import { createFunds } from './createFunds.ts'
import { createGrants } from './Grants.ts'

const minute = 60_000
let chain: FundChain
beforeAll(async () => {
  chain = await startFundChain()
})
afterAll(() => chain?.close())
beforeEach(() => chain.testClient.setAutomine(false))
afterEach(async () => {
  await chain.testClient.mine({ blocks: 1 })
  await chain.testClient.setAutomine(true)
})

type Account = FundSettings['account']
let time = 1_800_000_000_000

/** A process of its own, that gives from a wallet. */
function open(database: Database, account: Account, maxGasPrice?: bigint) {
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) })
  const settings = {
    chains: [{ deployment: chain.deployment, rpcUrl: chain.rpcUrl }],
    confirmations: 1,
    funds: {
      ...{ account, chainId: chain.chainId },
      gasStation: { gas: gift, leastUsdc: dollars(5), perDay: parseEther('1') },
    },
  } as unknown as Settings
  const funds = createFunds({ settings, database, log, now: () => time, maxGasPrice })
  return { ...funds, lines, ask: (address: Address) => funds.askForGas({ address, network: address }) }
}
type Process = ReturnType<typeof open>

/** Blocks are mined while an account is funded. */
async function wallet(coin = 0n): Promise<Account> {
  await chain.testClient.setAutomine(true)
  const account = await chain.wallet({ coin, usdc: dollars(5) })
  await chain.testClient.setAutomine(false)
  return account
}
const giver = () => wallet(parseEther('10'))

/** A block that has no room for a gift, as when others pay more; it stays where it waits. */
async function passBlock(): Promise<void> {
  await chain.testClient.setBlockGasLimit({ gasLimit: 30_000n })
  await chain.testClient.mine({ blocks: 1 })
  await chain.testClient.setBlockGasLimit({ gasLimit: 30_000_000n })
}

/** A block at a price. The node forgets what pays less. */
async function mineAt(gwei: string): Promise<void> {
  await chain.testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei(gwei) })
  await chain.testClient.mine({ blocks: 1 })
}

/** Has the first gift of the queue wait for longer than it may, so that a process pays more for it. */
async function waitTooLong(process: Pick<Process, 'resume'>): Promise<void> {
  await process.resume()
  time += minute
  await process.resume()
  await passBlock()
  await process.resume()
}

type Kept = { nonce: number; hash: Hex; raws: Hex[]; state: string }

async function kept(database: Database): Promise<Kept[]> {
  const rows = await database.all<{ nonce: number; hash: Hex; raw: string; state: string }>(
    'SELECT nonce, hash, raw, state FROM grant_transactions ORDER BY nonce',
  )
  return rows.map(({ raw, ...row }) => ({ ...row, raws: raw.split(' ') as Hex[] }))
}

async function only(database: Database): Promise<Kept> {
  const [one, ...others] = await kept(database)
  if (!one || others.length > 0) throw new Error('There is not one transaction.')
  return one
}

/** The hash of what waits under a nonce. */
async function waiting(account: Account, nonce = 0): Promise<Hex | undefined> {
  const { pending } = await chain.testClient.getTxpoolContent()
  const own = pending[account.address.toLowerCase() as Address] ?? pending[account.address]
  return (own as Record<string, { hash: Hex }> | undefined)?.[nonce]?.hash
}

const feesOf = (raw: Hex | undefined) => {
  const { maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = parseTransaction(raw ?? '0x')
  return { maxFeePerGas, maxPriorityFeePerGas }
}

describe.each(databases)('grants that wait on $name', ({ name, use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const openDatabase = use()
    let database: Database
    beforeEach(async () => {
      database = await openDatabase()
    })
    afterEach(() => database?.close())

    test('the first of the queue is paid more for, under its nonce, while blocks go by without it', async () => {
      const account = await giver()
      const process = open(database, account)
      const [one, other] = [await wallet(), await wallet()]
      const { grant } = await process.ask(one.address)
      await process.ask(other.address)
      await process.resume()
      time += minute - 1
      await process.resume()
      await passBlock()
      await process.resume()
      time += 1
      await process.resume()
      await process.resume()
      // Not before its time, nor while no block is made.
      expect((await kept(database)).map(({ raws }) => raws.length)).toEqual([1, 1])
      await passBlock()
      await process.resume()
      const [first, second] = await kept(database)
      expect([first?.raws.length, second?.raws.length]).toEqual([2, 1])
      const [before = '0x', after = '0x'] = first?.raws ?? []
      const { maxFeePerGas, maxPriorityFeePerGas, ...was } = parseTransaction(before)
      const { maxFeePerGas: fee = 0n, maxPriorityFeePerGas: tip = 0n, ...is } = parseTransaction(after)
      const unsigned = { r: '', s: '', v: 0n, yParity: 0 }
      expect({ ...is, ...unsigned }).toEqual({ ...was, ...unsigned })
      expect(fee * 8n).toBeGreaterThan((maxFeePerGas ?? 0n) * 9n)
      expect(tip * 8n).toBeGreaterThan((maxPriorityFeePerGas ?? 0n) * 9n)
      expect(await waiting(account)).toBe(first?.hash)

      await chain.testClient.mine({ blocks: 1 })
      expect(await process.resume()).toBe(0)
      expect([await chain.coinOf(one.address), await chain.coinOf(other.address)]).toEqual([gift, gift])
      expect(await chain.sentBy(account.address)).toBe(2)
      expect(await process.get(grant.id)).toMatchObject({
        grant: { state: 'done' },
        transactions: [{ state: 'done', hash: first?.hash }],
      })
    })

    test('a queue that gas has outgrown gets on, one after the other', async () => {
      const account = await giver()
      const process = open(database, account)
      const newcomers = [await wallet(), await wallet(), await wallet()]
      for (const { address } of newcomers) await process.ask(address)
      await mineAt('20')
      // The node has forgotten all of them, and takes none of them again.
      expect(await waiting(account)).toBe(undefined)
      expect(await process.resume()).toBe(3)
      expect(process.lines.join()).toContain('max fee per gas less than block base fee')
      for (let left = 3; left > 0; ) {
        time += minute
        await process.resume()
        await mineAt('20')
        const now = await process.resume()
        expect(left - now).toBeLessThanOrEqual(1)
        left = now
      }
      for (const { address } of newcomers) expect(await chain.coinOf(address)).toBe(gift)
      expect(await chain.sentBy(account.address)).toBe(3)
      expect((await kept(database)).map(({ raws, state }) => [raws.length, state])).toEqual(
        Array(3).fill([2, 'done']),
      )
    })

    test('what the node forgets is sent again as it was last', async () => {
      const account = await giver()
      const process = open(database, account)
      await process.ask((await wallet()).address)
      await waitTooLong(process)
      const { hash } = await only(database)
      await chain.testClient.dropTransaction({ hash })
      expect(await waiting(account)).toBe(undefined)
      await open(database, account).resume()
      expect(await waiting(account)).toBe(hash)
      expect((await only(database)).raws).toHaveLength(2)
    })

    test('an earlier form that is mined after all is the gift', async () => {
      const account = await giver()
      const process = open(database, account)
      const { address } = await wallet()
      const { grant, transactions } = await process.ask(address)
      await waitTooLong(process)
      const { hash, raws } = await only(database)
      await chain.testClient.dropTransaction({ hash })
      await chain.publicClient.sendRawTransaction({ serializedTransaction: raws[0] as Hex })
      await chain.testClient.mine({ blocks: 1 })
      expect(await process.resume()).toBe(0)
      // Also long after that, nothing is signed anew.
      await chain.testClient.mine({ blocks: 20 })
      expect(await process.resume()).toBe(0)
      expect(await process.get(grant.id)).toMatchObject({
        grant: { state: 'done' },
        transactions: [{ state: 'done', hash: transactions[0]?.hash }],
      })
      expect(await chain.coinOf(address)).toBe(gift)
      expect(await chain.sentBy(account.address)).toBe(1)
    })

    test('an earlier form is sent where the wallet has too little for the latest', async () => {
      const account = await giver()
      const process = open(database, account)
      const { address } = await wallet()
      await process.ask(address)
      await waitTooLong(process)
      const { hash, raws } = await only(database)
      await chain.testClient.dropTransaction({ hash })
      const value = gift + 60_000n * feesOf(raws[0]).maxFeePerGas
      await chain.testClient.setBalance({ address: account.address, value })
      await process.resume()
      expect(process.lines.join()).toContain('Insufficient funds')
      await chain.testClient.mine({ blocks: 1 })
      expect(await process.resume()).toBe(0)
      expect(await chain.coinOf(address)).toBe(gift)
    })

    test('above the ceiling it waits and says so, until gas is cheaper', async () => {
      const account = await giver()
      const process = open(database, account, parseGwei('10'))
      const { address } = await wallet()
      await process.ask(address)
      for (let round = 0; round < 4; round++) {
        time += minute
        await process.resume()
        await mineAt('20')
        expect(await process.resume()).toBe(1)
      }
      const { raws } = await only(database)
      expect(raws.map((raw) => feesOf(raw).maxFeePerGas <= parseGwei('10'))).toEqual([true, true])
      expect(process.lines.join()).toContain('gas costs more than may be paid')
      await mineAt('9')
      await process.resume()
      await mineAt('9')
      expect(await process.resume()).toBe(0)
      expect(await chain.coinOf(address)).toBe(gift)
      expect(await chain.sentBy(account.address)).toBe(1)
    })

    test('nothing is signed above the ceiling in the first place', async () => {
      const account = await giver()
      const process = open(database, account, parseGwei('1'))
      const { address } = await wallet()
      await process.ask(address)
      const { raws } = await only(database)
      expect(feesOf(raws[0])).toEqual({ maxFeePerGas: parseGwei('1'), maxPriorityFeePerGas: parseGwei('1') })
    })

    test('two instances that find it stuck at once pay more once', async () => {
      const account = await giver()
      const instances = [open(database, account), open(database, account)]
      const { address } = await wallet()
      await instances[0]?.ask(address)
      await waitTooLong({
        resume: async () => Promise.all(instances.map(({ resume }) => resume())).then(() => 1),
      })
      const { hash, raws } = await only(database)
      expect(raws).toHaveLength(2)
      expect(await waiting(account)).toBe(hash)
      await chain.testClient.mine({ blocks: 1 })
      for (const { resume } of instances) expect(await resume()).toBe(0)
      expect(await chain.coinOf(address)).toBe(gift)
      expect(await chain.sentBy(account.address)).toBe(1)
    })

    test('a transaction is not given up while it has a form that was not looked for', async () => {
      const account = await giver()
      const process = open(database, account)
      const { grant } = await process.ask((await wallet()).address)
      const grants = createGrants(database)
      const [seen] = await grants.transactionsOf(grant.id)
      if (!seen) throw new Error('Nothing was signed.')
      await waitTooLong(process)
      await grants.settle(seen, { state: 'replaced', hash: seen.hash })
      expect(await grants.keepForm(seen, { hash: '0x01', raw: '0x01' })).toBe(false)
      expect(await only(database)).toMatchObject({
        state: 'signed',
        raws: [seen.raws[0], expect.any(String)],
      })
      const [now = seen] = await grants.transactionsOf(grant.id)
      await grants.settle(now, { state: 'done', hash: seen.hash })
      expect(await only(database)).toMatchObject({ state: 'done', hash: seen.hash })
      expect(await grants.keepForm(now, { hash: '0x01', raw: '0x01' })).toBe(false)
    })

    test('what another wallet has signed is left as it is', async () => {
      const [account, successor] = [await giver(), await giver()]
      const { address } = await wallet()
      await open(database, account).ask(address)
      const process = open(database, successor)
      await waitTooLong(process)
      expect((await only(database)).raws).toHaveLength(1)
      await chain.testClient.mine({ blocks: 1 })
      expect(await process.resume()).toBe(0)
      expect(await chain.coinOf(address)).toBe(gift)
      expect(await chain.sentBy(successor.address)).toBe(0)
    })

    // One database shows it: what happens between two writes is the same on both.
    const describeOnce = name === 'SQLite' ? describe : () => {}
    describeOnce('a process that dies while it pays more', () => {
      test.each([
        ['after', true],
        ['before', false],
      ])('gives what it promised, once: %s each of its writes', async (_, isMade) => {
        const counts = new Set<number>()
        for (let deadly = 1; ; deadly++) {
          const fresh = await openDatabase()
          const account = await giver()
          const { address } = await wallet()
          const dying = dyingDatabase(fresh, deadly, isMade)
          const process = open(dying.database, account)
          await process.ask(address).catch(() => undefined)
          await waitTooLong({ resume: () => process.resume().catch(() => 1) })
          await waitTooLong({ resume: () => process.resume().catch(() => 1) })
          await chain.testClient.mine({ blocks: 1 })
          await process.resume().catch(() => undefined)

          const after = open(fresh, account)
          await after.resume()
          await chain.testClient.mine({ blocks: 1 })
          expect(await after.resume(), `${deadly}`).toBe(0)
          await chain.testClient.mine({ blocks: 20 })
          expect(await after.resume(), `${deadly}`).toBe(0)
          const promised = await fresh.all<{ state: string }>('SELECT state FROM grants')
          expect(promised.length, `${deadly}`).toBeLessThanOrEqual(1)
          for (const { state } of promised) expect(state).toBe('done')
          expect(await chain.coinOf(address), `${deadly}`).toBe(promised.length === 1 ? gift : 0n)
          expect(await chain.sentBy(account.address), `${deadly}`).toBe(promised.length)
          for (const { raws } of await kept(fresh)) counts.add(raws.length)
          await fresh.close()
          if (!dying.isDead()) break
        }
        // It died with one form, with two and with three.
        expect([...counts].sort()).toEqual([1, 2, 3])
      })
    })
  })
})
