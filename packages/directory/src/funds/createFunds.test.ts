/** What is given, on a real chain: never more than once, never above the budget, and all that was promised. */
import { fiatTokenAbi } from '@drain/consumer/testing'
import { type Address, parseEther } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { databases } from '../../test/databases.ts'
import { dyingDatabase } from '../../test/dyingDatabase.ts'
import {
  dollars,
  type FundChain,
  type Giving,
  gift,
  openFunds,
  startFundChain,
} from '../../test/fundRooms.ts'
import { Problem } from '../problem.ts'
import type { Database } from '../store/Database.ts'
import { dayMs } from './gasStation.ts'

let chain: FundChain
beforeAll(async () => {
  chain = await startFundChain()
})
afterAll(() => chain?.close())

const usdcOf = (address: Address) =>
  chain.publicClient.readContract({
    ...{ address: chain.deployment.token, abi: fiatTokenAbi, functionName: 'balanceOf', args: [address] },
  })

async function refusal(work: Promise<unknown>): Promise<Problem> {
  const error = await work.then(
    () => new Error('It was not refused.'),
    (error) => error,
  )
  if (error instanceof Problem) return error
  throw error
}

const settled = (funds: Giving['funds']) => expect.poll(() => funds.resume()).toBe(0)

describe.each(databases)('funds on $name', ({ name, use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const open = use()
    let database: Database
    let giving: Giving
    beforeEach(async () => {
      database = await open()
      giving = await openFunds(chain, database)
    })
    afterEach(() => database?.close())

    const ask = (address: Address, network: string = address) => giving.funds.askForGas({ address, network })
    const invite = async (count = 1, usdc = dollars(10)) =>
      giving.funds.makeInvites({ count, gas: gift, usdc, expiresAt: 1_800_000_000_000 + dayMs })

    describe('the gas station', () => {
      test('gives gas to a wallet that has USDC and none', async () => {
        const { address } = await chain.wallet({ usdc: dollars(5) })
        const { grant, transactions } = await ask(address)
        expect(grant).toMatchObject({ kind: 'gas', gas: gift, state: 'sent' })
        expect(transactions).toMatchObject([{ part: 'gas', hash: expect.stringMatching(/^0x/) }])
        await settled(giving.funds)
        expect(await chain.coinOf(address)).toBe(gift)
        expect(await giving.funds.get(grant.id)).toMatchObject({
          grant: { state: 'done' },
          transactions: [{ state: 'done' }],
        })
      })

      test('refuses those who lack USDC or have gas, and says what to do', async () => {
        const poor = await chain.wallet({ usdc: dollars(5) - 1n })
        const refused = await refusal(ask(poor.address))
        expect(refused).toMatchObject({ status: 422, code: 'too_little_usdc' })
        expect(`${refused.message} ${refused.action}`).toMatch(
          /4\.999999 USDC.*must have 5\..*0\.000001 USDC more/,
        )
        const rich = await chain.wallet({ usdc: dollars(5), coin: gift })
        expect(await refusal(ask(rich.address))).toMatchObject({ status: 409, code: 'has_gas' })
        const nearly = await chain.wallet({ usdc: dollars(5), coin: gift - 1n })
        expect(await ask(nearly.address)).toMatchObject({ grant: { state: 'sent' } })
        // A contract that refuses coins costs nothing but a question.
        expect(await refusal(ask(chain.deployment.token))).toMatchObject({ status: 422 })
        expect(await chain.sentBy(giving.account.address)).toBe(1)
      })

      test('gives once a day for a wallet, and for a network', async () => {
        const [one, other] = [
          await chain.wallet({ usdc: dollars(9) }),
          await chain.wallet({ usdc: dollars(9) }),
        ]
        const { grant } = await ask(one.address, 'home')
        await settled(giving.funds)
        await chain.testClient.setBalance({ address: one.address, value: 0n })
        const again = await refusal(ask(one.address.toLowerCase() as Address, 'office'))
        expect(again).toMatchObject({ status: 429, code: 'asked_already', details: { grant: grant.id } })
        expect(again.headers['Retry-After']).toBe('86401')
        expect(await refusal(ask(other.address, 'home'))).toMatchObject({
          status: 429,
          details: { askAgainAt: '2027-01-16T08:00:00.001Z' },
        })
        giving.later(dayMs - 1)
        expect(await refusal(ask(one.address, 'office'))).toMatchObject({ code: 'asked_already' })
        giving.later(1)
        expect(await ask(one.address, 'home')).toMatchObject({ grant: { state: 'sent' } })
        const rows = await database.all('SELECT network FROM grants')
        expect(JSON.stringify(rows)).not.toContain('home')
      })

      test('gives one grant to fifty who ask at once for the same wallet', async () => {
        const { address } = await chain.wallet({ usdc: dollars(5) })
        const outcomes = await Promise.allSettled(
          Array.from({ length: 50 }, (_, index) => ask(address, `${index}`)),
        )
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Problem)
        await settled(giving.funds)
        expect(await chain.coinOf(address)).toBe(gift)
        expect(await chain.sentBy(giving.account.address)).toBe(1)
      })

      test('keeps the budget of a day exactly, whoever asks at once', async () => {
        giving = await openFunds(chain, database, {
          gasStation: { gas: gift, leastUsdc: 0n, perDay: 3n * gift + 1n },
        })
        const wallets = await Promise.all(Array.from({ length: 12 }, () => chain.wallet()))
        const outcomes = await Promise.allSettled(wallets.map(({ address }) => ask(address)))
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
        const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []))
        expect(new Set(refused)).toEqual(new Set(['budget_spent']))
        await settled(giving.funds)
        const got = await Promise.all(wallets.map(({ address }) => chain.coinOf(address)))
        expect(got.reduce((sum, coin) => sum + coin, 0n)).toBe(3n * gift)
        giving.later(dayMs)
        const { address } = await chain.wallet()
        expect(await ask(address)).toMatchObject({ grant: { state: 'sent' } })
      })

      test('promises nothing that its wallet does not have', async () => {
        const account = await chain.wallet({ coin: 2n * gift })
        giving = await openFunds(chain, database, { account })
        const wallets = await Promise.all(Array.from({ length: 4 }, () => chain.wallet({ usdc: dollars(5) })))
        const outcomes = await Promise.allSettled(wallets.map(({ address }) => ask(address)))
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        await settled(giving.funds)
      })
    })

    describe('invites', () => {
      test('a code is good once, and its wallet is told the same again', async () => {
        const [code = ''] = await invite()
        expect(code).toMatch(/^[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3}$/)
        expect(JSON.stringify(await database.all('SELECT * FROM invites'))).not.toContain(code.slice(0, 5))
        expect(await giving.funds.inviteState(code)).toMatchObject({ state: 'open', usdc: '10', gas: '0.1' })
        const { address } = await chain.wallet()
        const { grant } = await giving.funds.join({ code: code.toLowerCase().replaceAll('-', ' '), address })
        await settled(giving.funds)
        expect([await chain.coinOf(address), await usdcOf(address)]).toEqual([gift, dollars(10)])
        expect(await giving.funds.join({ code, address })).toMatchObject({
          grant: { id: grant.id, state: 'done' },
        })
        expect(await giving.funds.inviteState(code)).toEqual({ state: 'gone' })
        expect(await chain.sentBy(giving.account.address)).toBe(2)
      })

      test('unknown, used and expired codes are refused alike', async () => {
        const [used = '', expired = ''] = await invite(2)
        const { address } = await chain.wallet()
        await giving.funds.join({ code: used, address: (await chain.wallet()).address })
        const codes = [used, 'AAAAA-AAAAA-AAAAA-AAAAA', '', "' OR '1'='1"]
        const refused = await Promise.all(codes.map((code) => refusal(giving.funds.join({ code, address }))))
        giving.later(dayMs)
        refused.push(await refusal(giving.funds.join({ code: expired, address })))
        expect(new Set(refused.map((one) => JSON.stringify(one.toJson()))).size).toBe(1)
        expect(refused[0]).toMatchObject({ status: 404, code: 'invite_unusable' })
        await settled(giving.funds)
        expect(await usdcOf(address)).toBe(0n)
      })

      test('two who use a code at once get one gift', async () => {
        const [code = ''] = await invite()
        const wallets = await Promise.all(Array.from({ length: 6 }, () => chain.wallet()))
        const outcomes = await Promise.allSettled(
          wallets.map(({ address }) => giving.funds.join({ code, address })),
        )
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        await settled(giving.funds)
        const got = await Promise.all(wallets.map(({ address }) => usdcOf(address)))
        expect(got.reduce((sum, usdc) => sum + usdc, 0n)).toBe(dollars(10))
        expect(await usdcOf(giving.account.address)).toBe(dollars(90))
      })

      test('no more are made than the budget holds', async () => {
        const codes = await invite(5)
        expect(await refusal(invite())).toMatchObject({
          status: 409,
          details: { left: { usdc: '0', gas: '0.5' } },
        })
        await giving.funds.join({ code: codes[0] ?? '', address: (await chain.wallet()).address })
        expect(await refusal(invite())).toMatchObject({ status: 409 })
        // Those that nobody used in time are in the budget again; what was given isn't.
        giving.later(dayMs)
        expect(await refusal(invite(5))).toMatchObject({ details: { left: { usdc: '40' } } })
        await settled(giving.funds)
      })

      test('a wallet that can’t receive leaves the code as it was', async () => {
        const [code = ''] = await invite()
        const { address } = await chain.wallet()
        await blacklist(address)
        const refused = await refusal(giving.funds.join({ code, address }))
        expect(refused).toMatchObject({ status: 422, code: 'cannot_receive' })
        expect(await giving.funds.inviteState(code)).toMatchObject({ state: 'open' })
        expect(await chain.sentBy(giving.account.address)).toBe(0)
      })

      test('a transfer that reverts fails, says why, and goes back into the budget', async () => {
        const codes = await invite(5)
        const { address } = await chain.wallet()
        await chain.testClient.setAutomine(false)
        let id: string
        try {
          const { grant } = await giving.funds.join({ code: codes[0] ?? '', address })
          id = grant.id
          const hash = await chain.walletClient(chain.issuer).writeContract({
            ...{
              address: chain.deployment.token,
              abi: fiatTokenAbi,
              functionName: 'blacklist',
              args: [address],
            },
            // Before the transfer in the same block.
            ...{
              gas: 200_000n,
              maxFeePerGas: parseEther('0.00001'),
              maxPriorityFeePerGas: parseEther('0.00001'),
            },
          })
          await chain.testClient.mine({ blocks: 1 })
          await chain.publicClient.waitForTransactionReceipt({ hash })
        } finally {
          await chain.testClient.setAutomine(true)
        }
        await settled(giving.funds)
        const failed = await giving.funds.get(id)
        expect(failed?.grant).toMatchObject({ state: 'failed', usdc: 0n, gas: gift })
        expect(failed?.grant.reason).toMatch(/blacklisted/)
        expect(await usdcOf(address)).toBe(0n)
        // Ten are in the budget again, and the code stays used.
        expect(await invite(1)).toHaveLength(1)
        expect(await giving.funds.inviteState(codes[0] ?? '')).toEqual({ state: 'gone' })
      })
    })

    test('another transaction that takes a nonce delays a grant, and nothing is given twice', async () => {
      const { address } = await chain.wallet({ usdc: dollars(5) })
      await chain.testClient.setAutomine(false)
      try {
        await ask(address)
        // The operator sends something by hand, and pays more.
        const sent = await chain.walletClient(giving.account).sendTransaction({
          ...{ to: chain.feeRecipient, value: 1n, nonce: 0, gas: 21_000n },
          ...{ maxFeePerGas: parseEther('0.00001'), maxPriorityFeePerGas: parseEther('0.00001') },
        })
        await chain.testClient.mine({ blocks: 1 })
        await chain.publicClient.waitForTransactionReceipt({ hash: sent })
      } finally {
        await chain.testClient.setAutomine(true)
      }
      expect(await giving.funds.resume()).toBe(1)
      // Not signed anew before that is certain.
      expect(await database.all('SELECT nonce FROM grant_transactions')).toHaveLength(1)
      await chain.testClient.mine({ blocks: 20 })
      await settled(giving.funds)
      expect(await chain.coinOf(address)).toBe(gift)
      const kept = await database.all('SELECT nonce, state FROM grant_transactions ORDER BY nonce')
      expect(kept).toMatchObject([{ state: 'replaced' }, { state: 'done' }])
    })

    test('several instances give from one wallet and don’t collide', async () => {
      const { account } = giving
      const instances = [
        giving,
        await openFunds(chain, database, { account }),
        await openFunds(chain, database, { account }),
      ]
      const wallets = await Promise.all(Array.from({ length: 9 }, () => chain.wallet({ usdc: dollars(5) })))
      const given = await Promise.all(
        wallets.map(({ address }, index) =>
          instances[index % 3]?.funds.askForGas({ address, network: address }),
        ),
      )
      expect(given).toHaveLength(9)
      await Promise.all(instances.map(({ funds }) => settled(funds)))
      for (const { address } of wallets) expect(await chain.coinOf(address)).toBe(gift)
      expect(await chain.sentBy(account.address)).toBe(9)
      const { funds } = instances[0] as Giving
      for (const one of given)
        expect(await funds.get(one?.grant.id ?? '')).toMatchObject({ grant: { state: 'done' } })
    })

    // One database shows it: what happens between two writes is the same on both.
    const describeOnce = name === 'SQLite' ? describe : () => {}
    describeOnce('a process that dies between two writes', () => {
      test.each(['gas', 'invite'] as const)('gives what it promised, once: %s', async (kind) => {
        for (let deadly = 1; ; deadly++) {
          const fresh = await open()
          const before = await openFunds(chain, fresh)
          const { account } = before
          const { address } = await chain.wallet({ usdc: dollars(5) })
          const [code = ''] =
            kind === 'invite'
              ? await before.funds.makeInvites({ count: 1, gas: gift, usdc: dollars(10), expiresAt: 1.9e12 })
              : []
          const dying = dyingDatabase(fresh, deadly)
          const { funds } = await openFunds(chain, dying.database, { account })
          await (kind === 'gas'
            ? funds.askForGas({ address, network: 'n' })
            : funds.join({ code, address })
          ).catch(() => undefined)
          await funds.resume().catch(() => undefined)

          const after = await openFunds(chain, fresh, { account })
          await settled(after.funds)
          const promised = await fresh.all<{ state: string }>('SELECT state FROM grants')
          const got = await chain.coinOf(address)
          expect(promised.length, `${deadly}`).toBeLessThanOrEqual(1)
          expect(got, `${deadly}`).toBe(promised.length === 1 ? gift : 0n)
          for (const { state } of promised) expect(state).toBe('done')
          expect(await usdcOf(address)).toBe(dollars(promised.length === 1 && kind === 'invite' ? 15 : 5))
          expect(await chain.sentBy(account.address)).toBe(promised.length * (kind === 'gas' ? 1 : 2))
          await fresh.close()
          if (!dying.isDead()) {
            expect(deadly).toBeGreaterThan(4)
            break
          }
        }
      })
    })
  })
})

async function blacklist(address: Address): Promise<void> {
  const hash = await chain.walletClient(chain.issuer).writeContract({
    ...{ address: chain.deployment.token, abi: fiatTokenAbi, functionName: 'blacklist', args: [address] },
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
}
