/** Following the contract on a real chain, with its real contract: reorganisations, kills, and nodes that refuse or lie. */
import { join } from 'node:path'
import { CloseAuthorization, type Deployment, drainChannelAbi, Voucher } from '@drain/core'
import { ChainUnavailableError, type Ledger, memoryLedger } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Abi, createPublicClient, type Hex, http, type LocalAccount } from 'viem'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Alarm, alarms } from '../src/ledger/alarms.ts'
import { createLogger } from '../src/observe/Log.ts'
import * as Cursor from '../src/settle/Cursor.ts'
import { createFollower, type Follower } from '../src/settle/Follower.ts'
import { finalityOf } from '../src/settle/finality.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
let proxy: RpcProxy
let ledger: Ledger
let ledgers = 0
/** Transactions of this provider. */
let ours: Set<Hex>
let forgotten: Hex[]
let lines: string[]

beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())
beforeEach(async () => {
  proxy = await startRpcProxy(fixture.chain.rpcUrl)
  ledger = openLedger(`follower-${ledgers++}.db`)
  await mine(10) // between the claims of one test and the next one's ledger
  ours = new Set()
  forgotten = []
  lines = []
  return async () => {
    await ledger.close()
    await proxy.close()
  }
})

function openLedger(name: string): Ledger {
  const { chainId, deployment } = fixture.chain
  const open = sqliteLedger(join(fixture.folder, name), { log: () => {} })
  return open({ chainId, contract: deployment.contract, provider: fixture.provider.address })
}

type Options = {
  depth?: bigint
  on?: Ledger
  deployment?: Deployment.Deployment
  clock?: () => number
  dust?: bigint
}

function follow({
  depth = 0n,
  on = ledger,
  deployment = fixture.chain.deployment,
  ...options
}: Options = {}): Follower {
  return createFollower({
    client: createPublicClient({ transport: http(proxy.url, { retryCount: 0 }) }),
    deployment,
    provider: fixture.provider.address,
    ledger: on,
    finality: { depth },
    isOurs: async (txHash) => ours.has(txHash),
    forget: (channelId) => forgotten.push(channelId),
    log: createLogger((line) => lines.push(line)),
    ...options,
  })
}

const mine = (blocks: number) => fixture.chain.testClient.mine({ blocks })

async function rpc(method: string, params: unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const headers = { 'Content-Type': 'application/json' }
  const answer = await fetch(fixture.chain.rpcUrl, { method: 'POST', body, headers })
  const { result, error } = (await answer.json()) as { result: unknown; error?: { message: string } }
  if (error) throw new Error(error.message)
  return result
}

/** A node that takes no ranges of more blocks. */
function tooLong(limit: bigint): NonNullable<RpcProxy['lie']> {
  return async ({ method, params }, ask) => {
    const [{ fromBlock = '0x0', toBlock = '0x0' } = {}] = params as { fromBlock?: string; toBlock?: string }[]
    const isTooLong = method === 'eth_getLogs' && BigInt(toBlock) - BigInt(fromBlock) >= limit
    return isTooLong ? { error: { code: -32_005, message: 'block range is too wide' } } : ask()
  }
}

/** Puts that many of the latest blocks in the place of others, which are empty. */
const reorganise = (depth: number) => rpc('anvil_reorg', [depth, []])

async function all<item>(items: AsyncIterable<item>): Promise<item[]> {
  const found: item[] = []
  for await (const item of items) found.push(item)
  return found
}

async function allAlarms(): Promise<Omit<Alarm, 'at'>[]> {
  return (await all(alarms(ledger.notebook))).map(({ at, ...alarm }) => alarm)
}

async function storedCursor(): Promise<Cursor.Cursor> {
  for await (const { key, text } of ledger.notebook.read('cursor'))
    if (key === 'cursor') return Cursor.parse(text)
  throw new Error('no cursor')
}

async function factsOf(channelId: Hex) {
  const [consumer, provider, deposit, claimed, expiry] = await fixture.chain.publicClient.readContract({
    address: fixture.chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'getChannel',
    args: [channelId],
  })
  return { channelId, consumer, provider, deposit, claimed, expiry }
}

let nonces = 0n
async function sign(channel: OpenChannel, amount: bigint) {
  const nonce = ++nonces
  const unsigned = { channelId: channel.id, amount, nonce }
  const typedData = Voucher.typedData(unsigned, fixture.chain.deployment)
  return { amount, nonce, signature: await fixture.consumer.signTypedData(typedData) }
}

/** Charges a channel, as a served request does. */
async function serve(channel: OpenChannel, amount: bigint) {
  const voucher = await sign(channel, amount)
  const reserved = await ledger.reserve({ channel: await factsOf(channel.id), voucher, quote: amount })
  if (!reserved.ok) throw new Error(reserved.code)
  await ledger.capture(reserved.reservationId, amount)
  return voucher
}

type Call = 'claim' | 'claimAndClose' | 'close' | 'cooperativeClose'

/** Sends a transaction, and waits until it is mined. */
async function send(from: LocalAccount, functionName: Call, args: readonly unknown[]): Promise<Hex> {
  const { deployment, publicClient } = fixture.chain
  const abi: Abi = drainChannelAbi
  const call = { address: deployment.contract, abi, functionName, args }
  const hash = await fixture.chain.walletClient(from).writeContract(call)
  const { status } = await publicClient.waitForTransactionReceipt({ hash })
  expect(status).toBe('success')
  return hash
}

async function claim(channel: OpenChannel, amount: bigint, options: { ours: boolean }): Promise<Hex> {
  const { nonce, signature } = await sign(channel, amount)
  const hash = await send(fixture.provider, 'claim', [channel.id, amount, nonce, signature])
  if (options.ours) ours.add(hash)
  return hash
}

async function expire(channel: OpenChannel): Promise<void> {
  const { expiry } = await factsOf(channel.id)
  await fixture.chain.testClient.setNextBlockTimestamp({ timestamp: expiry })
  await mine(1)
}

describe('channels that are opened, claimed and closed', () => {
  test('are booked in order, once each', async () => {
    const follower = follow()
    const first = await follower.poll()
    expect(first).toMatchObject({ behind: 0n, finalNumber: first.number })
    const channel = await fixture.open()
    const voucher = await serve(channel, 400_000n)
    await claim(channel, 300_000n, { ours: true })
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open', claimed: 0n }) // the journal's

    const { amount, nonce, signature } = voucher
    ours.add(await send(fixture.provider, 'claimAndClose', [channel.id, amount, nonce, amount, signature]))
    const head = await follower.poll()
    expect(head.number).toBeGreaterThan(first.number)
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed', charged: 400_000n })
    expect(forgotten).toContain(channel.id)
    expect(await allAlarms()).toEqual([])
    const asked = proxy.count('eth_getLogs')
    expect(await follower.poll()).toEqual(head)
    expect(proxy.count('eth_getLogs')).toBe(asked)
  })

  test('are frozen when they are closed, and closed when that is final', async () => {
    const follower = follow({ depth: 3n })
    const channel = await fixture.open({ duration: 1_000n })
    await follower.poll()
    await serve(channel, 400_000n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    expect(forgotten).toEqual([channel.id])
    expect(await allAlarms()).toEqual([])
    await mine(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    await mine(1)
    const head = await follower.poll()
    expect(head.number - head.finalNumber).toBe(3n)
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    expect(await allAlarms()).toEqual([
      {
        channelId: channel.id,
        code: 'closed_owing',
        message: expect.stringContaining('0.400000 USDC charged and not claimed'),
      },
    ])
  })

  test('may owe dust', async () => {
    const follower = follow({ dust: 400_000n })
    const channel = await fixture.open({ duration: 1_000n })
    await follower.poll()
    await serve(channel, 400_000n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    expect(await allAlarms()).toEqual([])
    expect(lines.join()).toContain('0.400000 USDC')
  })

  test('and are closed by the consumer with our signature are paid', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await ledger.freeze(await factsOf(channel.id))
    await ledger.finalize(channel.id)
    const authorization = { channelId: channel.id, finalAmount: 400_000n }
    const signature = await fixture.provider.signTypedData(
      CloseAuthorization.typedData(authorization, fixture.chain.deployment),
    )
    const txHash = await send(fixture.consumer, 'cooperativeClose', [channel.id, 400_000n, signature])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 400_000n })
    expect(await allAlarms()).toEqual([])
    const claims = await all(ledger.claims())
    expect(claims).toMatchObject([{ channelId: channel.id, txHash, amount: 400_000n, fee: 0n, gasCost: 0n }])
  })

  test('of others do not matter', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ to: fixture.stranger.address, duration: 1_000n })
    const { nonce, signature } = await sign(channel, 5n)
    await send(fixture.stranger, 'claim', [channel.id, 5n, nonce, signature])
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    await follower.poll()
    expect(await ledger.get(channel.id)).toBeUndefined()
    expect([await allAlarms(), forgotten]).toEqual([[], []])
  })
})

describe('a claim that nobody here sent', () => {
  const codes = async () => (await allAlarms()).map(({ code }) => code)

  test('freezes the channel once it is final, and is recorded', async () => {
    const follower = follow({ depth: 2n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    const hash = await claim(channel, 300_000n, { ours: false })
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open', claimed: 0n })
    await mine(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing', claimed: 300_000n, alarm: false })
    expect(await allAlarms()).toMatchObject([
      { code: 'unknown_claim', message: expect.stringContaining(hash) },
    ])
    expect(lines.filter((line) => line.startsWith('ALARM'))).toHaveLength(1)
  })

  test('of more than was charged, or on a channel that the ledger lost, is an alarm of its own', async () => {
    const follower = follow()
    await follower.poll()
    const [served, lost] = [await fixture.open(), await fixture.open()]
    await serve(served, 100_000n)
    await claim(served, 300_000n, { ours: false })
    await claim(lost, 200_000n, { ours: false })
    await follower.poll()
    const frozen = { status: 'closing', alarm: true }
    expect(await ledger.get(served.id)).toMatchObject({ ...frozen, charged: 300_000n, claimed: 300_000n })
    expect(await ledger.get(lost.id)).toMatchObject({ ...frozen, charged: 200_000n, claimed: 200_000n })
    expect((await codes()).sort()).toEqual(['overclaimed', 'overclaimed', 'unknown_claim', 'unknown_claim'])
    expect((await allAlarms()).map(({ message }) => message).join()).toContain(
      `0.300000 USDC of channel ${served.id} were claimed, and this ledger had charged 0.100000 USDC`,
    )
  })

  test('and that closed the channel is recorded from what was refunded', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open()
    const { amount, nonce, signature } = await serve(channel, 400_000n)
    await claim(channel, 100_000n, { ours: false })
    await send(fixture.provider, 'claimAndClose', [channel.id, amount, nonce, 300_000n, signature])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 300_000n, alarm: false })
    expect((await codes()).sort()).toEqual(['closed_owing', 'unknown_claim'])
    expect((await allAlarms()).find(({ code }) => code === 'closed_owing')?.message).toContain(
      '0.100000 USDC',
    )
  })

  test('but is in the accounts is one from before there was a journal', async () => {
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await ledger.beginClaim(channel.id, 300_000n)
    const txHash = await claim(channel, 300_000n, { ours: false })
    await ledger.endClaim(await factsOf(channel.id), { txHash, fee: 0n, gasCost: 1n })
    await follow().poll()
    expect(lines.join()).toContain('starting a while back')
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open', claimed: 300_000n })
    expect((await allAlarms()).filter(({ channelId }) => channelId === channel.id)).toEqual([])
  })
})

test('a channel that is not what the ledger knew keeps no other from being followed', async () => {
  const follower = follow()
  await follower.poll()
  const [wrong, right] = [await fixture.open(), await fixture.open({ duration: 1_000n })]
  const facts = await factsOf(wrong.id)
  await ledger.freeze({ ...facts, deposit: facts.deposit + 1n })
  await serve(right, 1n)
  await claim(wrong, 5n, { ours: false })
  await expire(right)
  await send(fixture.consumer, 'close', [right.id])
  expect(await follower.poll()).toMatchObject({ behind: 0n })
  expect(await ledger.get(right.id)).toMatchObject({ status: 'closed' })
  expect(lines.join()).toContain('could not be booked')
  expect((await allAlarms()).map(({ channelId }) => channelId)).toContain(wrong.id)
})

test('what is final is booked at once when a channel was closed, else sixteen blocks together', async () => {
  const follower = follow({ depth: 64n })
  await follower.poll()
  const [closed, claimed] = [await fixture.open({ duration: 1_000n }), await fixture.open()]
  await serve(closed, 1n)
  await expire(closed)
  await send(fixture.consumer, 'close', [closed.id])
  await serve(claimed, 2n)
  await claim(claimed, 2n, { ours: false })
  await mine(62) // one more on top, and the close is final
  const { number } = await follower.poll()
  await mine(1)
  await follower.poll()
  expect(await ledger.get(closed.id)).toMatchObject({ status: 'closed' })
  const asked = proxy.count('eth_getLogs')
  await mine(1)
  await follower.poll()
  expect(proxy.count('eth_getLogs') - asked).toBe(3)
  expect(await ledger.get(claimed.id)).toMatchObject({ status: 'open' })
  await mine(16)
  expect((await follower.poll()).number).toBe(number + 18n)
  expect(await ledger.get(claimed.id)).toMatchObject({ status: 'closing', claimed: 2n })
})

describe('a reorganisation', () => {
  test('that removes an open freezes the channel, and is an alarm when it does not come back', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const [served, unserved] = [await fixture.open(), await fixture.open()]
    await serve(served, 400_000n)
    await follower.poll()
    await reorganise(4)
    await follower.poll()
    expect(await ledger.get(served.id)).toMatchObject({ status: 'closing' })
    expect(await ledger.get(unserved.id)).toBeUndefined()
    expect(forgotten).toEqual(expect.arrayContaining([served.id, unserved.id]))
    expect(await allAlarms()).toEqual([])
    expect((await storedCursor()).removed).toHaveLength(2)
    await mine(4)
    await follower.poll()
    expect(await allAlarms()).toMatchObject([{ channelId: served.id, code: 'channel_vanished' }])
    expect((await storedCursor()).removed).toEqual([])
  })

  test('after which the open comes again leaves the channel frozen, without an alarm', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await follower.poll()
    await reorganise(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    const again = await fixture.open() // the same counter, so the same id
    expect(again.id).toBe(channel.id)
    await follower.poll()
    expect((await storedCursor()).removed).toEqual([])
    await mine(5)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    expect(await allAlarms()).toEqual([])
    expect(lines.join()).toContain('on chain again')
  })

  test('elsewhere freezes nothing', async () => {
    const follower = follow({ depth: 8n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await fixture.open({ to: fixture.stranger.address }) // empty blocks would come again as they were
    await follower.poll() // the block of the open and this head are remembered, and none between
    await reorganise(2)
    await follower.poll()
    expect(lines.join()).toContain('a reorganisation')
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open' })
    expect([forgotten, (await storedCursor()).removed]).toEqual([[], []])
  })

  test('that removes a claim or a close that was not final leaves the books as they were', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const claimed = await fixture.open()
    const closed = await fixture.open()
    await serve(claimed, 400_000n)
    const { amount, nonce, signature } = await serve(closed, 400_000n)
    await mine(4)
    await follower.poll()
    await claim(claimed, 300_000n, { ours: false })
    await send(fixture.provider, 'claimAndClose', [closed.id, amount, nonce, amount, signature])
    await follower.poll()
    await reorganise(2)
    await mine(6)
    await follower.poll()
    expect(await ledger.get(claimed.id)).toMatchObject({ status: 'open', claimed: 0n })
    expect(await ledger.get(closed.id)).toMatchObject({ status: 'closing', claimed: 0n }) // for good
    expect(await factsOf(closed.id)).toMatchObject({ deposit: closed.deposit })
    expect(lines.join()).toContain('took back the close')
    expect(await allAlarms()).toEqual([])
  })

  test('whose channel another process goes on to serve freezes that too', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const channel = await fixture.open()
    const [facts, voucher] = [await factsOf(channel.id), await sign(channel, 1n)]
    await follower.poll()
    await reorganise(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toBeUndefined()
    expect(await ledger.reserve({ channel: facts, voucher, quote: 1n })).toMatchObject({ ok: true })
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
  })

  test('in the middle of a round is noticed', async () => {
    const follower = follow({ depth: 20n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await follower.poll()
    for (let i = 0; i < 3; i++) await fixture.open({ to: fixture.stranger.address })
    const refuseLong = tooLong(2n)
    let isDue = true
    proxy.lie = async (question, ask) => {
      // Between the second window and the third.
      if (
        isDue &&
        question.method === 'eth_getBlockByNumber' &&
        proxy.answered('eth_getLogs') >= asked + 12
      ) {
        isDue = false
        await reorganise(8)
      }
      return refuseLong(question, ask)
    }
    const asked = proxy.answered('eth_getLogs')
    await follower.poll().catch((error) => expect(error).toBeInstanceOf(ChainUnavailableError))
    expect(isDue).toBe(false)
    proxy.lie = undefined
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
  })

  test('deeper than finality is said, and what comes after is followed', async () => {
    const follower = follow({ depth: 1n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await mine(3)
    await follower.poll()
    await reorganise(5)
    await follower.poll()
    expect(lines.join()).toContain('deeper')
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    await mine(1)
    await follower.poll()
    expect(await allAlarms()).toMatchObject([{ channelId: channel.id, code: 'channel_vanished' }])
  })

  test('that nothing remembered survives is read again from before', async () => {
    const follower = follow({ depth: 2n })
    await follower.poll()
    const snapshot = await rpc('evm_snapshot', [])
    const channel = await fixture.open()
    await mine(30)
    // Only its own, newest blocks are remembered.
    const other = openLedger(`follower-${ledgers++}.db`)
    const late = follow({ depth: 2n, on: other })
    await late.poll()
    await rpc('evm_revert', [snapshot])
    await mine(60)
    const { number } = await late.poll()
    const head = await late.poll()
    expect(head).toMatchObject({ number, behind: 0n })
    await follower.poll()
    expect(await ledger.get(channel.id)).toBeUndefined()
    await other.close()
  })
})

describe('a process that dies', () => {
  /** Books to be compared: an alarm that was raised after a death may know less of what was before. */
  const withoutTexts = <books extends { alarms: Alarm[] }>(books: books) => ({
    ...books,
    alarms: books.alarms.map(({ message, ...alarm }) => alarm),
  })

  /** A ledger whose cursor can't be moved as long as it is told so: the process ends after the effects. */
  function dyingLedger() {
    const state = { isDying: false }
    const on: Ledger = {
      ...ledger,
      notebook: {
        read: ledger.notebook.read,
        write: (key, decide) =>
          ledger.notebook.write(key, (text, now) => {
            const decision = decide(text, now)
            if (key === 'cursor' && state.isDying && decision.write !== undefined) throw new Error('killed')
            return decision
          }),
      },
    }
    return { on, state }
  }

  /** A ledger whose user dies at its n-th write, just before or just after it. `isDead`: it came to that. */
  function mortal(on: Ledger, deathAt: number, isAfter: boolean) {
    let writes = 0
    const life = { isDead: false }
    const dying =
      <args extends unknown[], result>(write: (...args: args) => Promise<result>) =>
      async (...args: args): Promise<result> => {
        const isLast = ++writes === deathAt
        if (isLast) life.isDead = true
        if (isLast && !isAfter) throw new Error('killed')
        const result = await write(...args)
        if (isLast) throw new Error('killed')
        return result
      }
    const { freeze, markClosed, recordClaimed, beginClaim, endClaim, notebook } = on
    const write = dying(notebook.write) as typeof notebook.write
    const mortal: Ledger = {
      ...{ ...on, freeze: dying(freeze), markClosed: dying(markClosed), notebook: { ...notebook, write } },
      ...{ recordClaimed: dying(recordClaimed), beginClaim: dying(beginClaim), endClaim: dying(endClaim) },
    }
    return { mortal, life }
  }

  test('before or after any of its writes loses nothing and does nothing twice', async () => {
    await follow().poll()
    const cursor = Cursor.format(await storedCursor())
    const unknown = await fixture.open()
    const lost = await fixture.open()
    const owing = await fixture.open({ duration: 1_000n })
    const cooperative = await fixture.open()
    const served = await Promise.all(
      [unknown, owing, cooperative].map(async (channel) => ({
        channel: await factsOf(channel.id),
        voucher: await sign(channel, 400_000n),
        quote: 400_000n,
      })),
    )
    await claim(unknown, 300_000n, { ours: false })
    await claim(lost, 200_000n, { ours: false })
    const authorization = { channelId: cooperative.id, finalAmount: 400_000n }
    const signature = await fixture.provider.signTypedData(
      CloseAuthorization.typedData(authorization, fixture.chain.deployment),
    )
    await send(fixture.consumer, 'cooperativeClose', [cooperative.id, 400_000n, signature])
    await expire(owing)
    await send(fixture.consumer, 'close', [owing.id])

    const { chainId, deployment } = fixture.chain
    const identity = { chainId, contract: deployment.contract, provider: fixture.provider.address }

    /** What the books come to when the process dies at a write, and another one goes on. */
    async function booksAfter(deathAt: number, isAfter: boolean) {
      const now = () => 1_800_000_000_000
      const on = memoryLedger({ log: () => {}, now })(identity)
      await on.notebook.write('cursor', () => ({ result: undefined, write: cursor }))
      for (const request of served) {
        const reserved = await on.reserve(request)
        if (reserved.ok) await on.capture(reserved.reservationId, request.quote)
      }
      await on.freeze(await on.get(cooperative.id).then((state) => state ?? Promise.reject()))
      await on.finalize(cooperative.id)
      const { mortal: first, life } = mortal(on, deathAt, isAfter)
      const poll = follow({ on: first, clock: now }).poll()
      if (deathAt > 0) await poll.catch((error) => expect(error.message).toBe('killed'))
      else await poll
      if (life.isDead) await follow({ on, clock: now }).poll()
      const channels = await all(on.channels())
      const books = { channels, claims: await all(on.claims()), alarms: await all(alarms(on.notebook)) }
      return { books, isDead: life.isDead }
    }

    const { books } = await booksAfter(0, false)
    expect(books.channels).toMatchObject([
      { channelId: unknown.id, status: 'closing', claimed: 300_000n, alarm: false },
      { channelId: owing.id, status: 'closed', claimed: 0n },
      { channelId: cooperative.id, status: 'closed', claimed: 400_000n },
      { channelId: lost.id, status: 'closing', claimed: 200_000n, alarm: true },
    ])
    expect(books.claims).toMatchObject([{ channelId: cooperative.id, amount: 400_000n }])
    expect(books.alarms.map(({ code }) => code).sort()).toEqual([
      ...['closed_owing', 'overclaimed', 'unknown_claim', 'unknown_claim'],
    ])
    let deaths = 0
    for (const isAfter of [false, true]) {
      for (let deathAt = 1; ; deathAt += 1) {
        const end = await booksAfter(deathAt, isAfter)
        if (!end.isDead) break
        deaths += 1
        expect(withoutTexts(end.books)).toEqual(withoutTexts(books))
      }
    }
    expect(deaths).toBeGreaterThan(20)
  })

  test('in a reorganisation still freezes what it took away', async () => {
    const { on, state } = dyingLedger()
    await follow({ on, depth: 4n }).poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await follow({ on, depth: 4n }).poll()
    await reorganise(3)
    state.isDying = true
    await expect(follow({ on, depth: 4n }).poll()).rejects.toThrow('killed')
    state.isDying = false
    await follow({ on, depth: 4n }).poll()
    await mine(4)
    await follow({ on, depth: 4n }).poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    expect(await allAlarms()).toMatchObject([{ channelId: channel.id, code: 'channel_vanished' }])
  })
})

describe('a node', () => {
  test('that refuses long ranges is asked for shorter ones, then for longer ones again', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ duration: 1_000n })
    await serve(channel, 1n)
    await mine(60)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    proxy.lie = tooLong(8n)
    expect(await follower.poll()).toMatchObject({ behind: 0n })
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    const asked = proxy.count('eth_getLogs')
    proxy.lie = undefined
    await mine(130)
    await follower.poll()
    expect(proxy.count('eth_getLogs') - asked).toBeLessThan((3 * 130) / 8)
  })

  test('that answers little at a time does not hold up a round without end', async () => {
    const follower = follow()
    await follower.poll()
    await mine(100)
    proxy.lie = tooLong(1n)
    const { behind } = await follower.poll()
    expect(behind).toBeGreaterThan(0n)
    expect(behind).toBeLessThan(100n)
    expect(await follower.poll()).toMatchObject({ behind: 0n })
  })

  test('that refuses every range is no answer, and is not asked without end', async () => {
    const follower = follow()
    await follower.poll()
    await mine(30)
    proxy.lie = tooLong(0n)
    await expect(follower.poll()).rejects.toThrow(ChainUnavailableError)
    expect(proxy.count('eth_getLogs')).toBeLessThan(100)
    proxy.lie = undefined
    expect(await follower.poll()).toMatchObject({ behind: 0n })
  })

  test('that is away loses nothing, and its address is in no message', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ duration: 1_000n })
    await serve(channel, 1n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    proxy.isDown = true
    const error = await follower.poll().catch((error) => error)
    expect(error).toBeInstanceOf(ChainUnavailableError)
    expect(`${error.message}${lines.join()}`).not.toContain(new URL(proxy.url).port)
    proxy.isDown = false
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
  })

  test('that falls behind is waited for, and that is said once', async () => {
    const follower = follow()
    const before = await follower.poll()
    await mine(20)
    const channel = await fixture.open()
    await serve(channel, 1n)
    const head = await follower.poll()
    proxy.lie = async ({ method, params }, ask) =>
      method === 'eth_getBlockByNumber' && params[0] === 'latest'
        ? { result: await rpc(method, [`0x${before.number.toString(16)}`, false]) }
        : ask()
    expect(await follower.poll()).toEqual(head)
    expect(await follower.poll()).toEqual(head)
    expect(lines.filter((line) => line.includes('behind'))).toHaveLength(1)
    expect((await storedCursor()).seen.number).toBe(head.number)
    proxy.lie = undefined
    await mine(1)
    expect((await follower.poll()).number).toBe(head.number + 1n)
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open' })
  })

  test('whose head is from the future is not followed', async () => {
    // On a chain of one machine, time is what it is told to be.
    const deployment = { ...fixture.chain.deployment, chainId: 137 }
    const { timestamp } = await fixture.chain.publicClient.getBlock()
    const clock = () => Number(timestamp) * 1_000
    const follower = follow({ deployment, clock })
    const before = await follower.poll()
    await mine(1)
    proxy.lie = async ({ method, params }, ask) => {
      const answer = await ask()
      if (method !== 'eth_getBlockByNumber' || params[0] !== 'latest') return answer
      const block = answer.result as { number: Hex; timestamp: Hex }
      const number = `0x${(BigInt(block.number) + 1_000_000n).toString(16)}`
      return { result: { ...block, number, timestamp: `0x${(BigInt(timestamp) + 901n).toString(16)}` } }
    }
    const { behind, ...head } = await follower.poll()
    expect(before).toMatchObject(head)
    expect(behind).toBe(1_000_001n)
    expect((await storedCursor()).seen.number).toBe(before.number)
    expect(lines.filter((line) => line.includes('future'))).toHaveLength(1)
    await expect(
      follow({ deployment, clock, on: openLedger(`follower-${ledgers++}.db`) }).poll(),
    ).rejects.toThrow(ChainUnavailableError)
    proxy.lie = undefined
    expect(await follower.poll()).toMatchObject({ number: before.number + 1n, behind: 0n })
  })

  test('that answers for another block than it has is not believed', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ duration: 1_000n })
    await serve(channel, 1n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    const cursor = await storedCursor()
    // The logs come from a node that lacks the last block; asked for it again, it has another one in its place.
    proxy.lie = async ({ method, params }, ask) => {
      if (method === 'eth_getLogs') return { result: [] }
      const answer = await ask()
      if (method !== 'eth_getBlockByNumber' || params[0] === 'latest') return answer
      const block = answer.result as { number: Hex; hash: Hex }
      if (BigInt(block.number) <= cursor.seen.number) return answer
      return { result: { ...block, hash: `0x${'11'.repeat(32)}` } }
    }
    await expect(follower.poll()).rejects.toThrow(ChainUnavailableError)
    expect(await storedCursor()).toEqual(cursor)
    proxy.lie = undefined
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
  })
})

describe('rounds', () => {
  test('that are asked for at the same time are one', async () => {
    const follower = follow()
    const release = proxy.hold()
    const polls = Array.from({ length: 10 }, () => follower.poll())
    release()
    const heads = await Promise.all(polls)
    expect(new Set(heads).size).toBe(1)
    expect(proxy.count('eth_getBlockByNumber')).toBeLessThanOrEqual(2)
  })

  test('of several processes go on from where the other is', async () => {
    const other = openLedger(`follower-${ledgers - 1}.db`)
    const followers = [follow(), follow({ on: other })]
    for (let i = 0; i < 5; i++) {
      await mine(3)
      const heads = await Promise.all(followers.map((follower) => follower.poll()))
      expect(heads).toMatchObject([{ behind: 0n }, { behind: 0n }])
    }
    await other.close()
  })

  test('end when they are told to', async () => {
    const follower = follow()
    await follower.poll()
    await mine(3)
    const release = proxy.hold()
    const poll = follower.poll()
    const stopped = follower.stop()
    release()
    await stopped
    expect(await poll).toMatchObject({ behind: 3n })
    await expect(follower.poll()).rejects.toThrow('stopped')
  })

  test('of a new ledger begin at the last final block', async () => {
    await mine(10)
    const { number } = await follow({ depth: 4n }).poll()
    const { booked, seen } = await storedCursor()
    expect([booked, seen.number]).toEqual([number - 4n, number])
  })
})

test('the cursor remembers no more than fits into its note', () => {
  const hex = (number: number): Hex => `0x${number.toString(16).padStart(64, '0')}`
  let cursor = Cursor.startAt({ number: 0n, hash: hex(0) })
  for (let i = 1; i <= 300; i++) {
    const opened = Array.from({ length: 40 }, (_, n) => hex(i * 1_000 + n))
    const number = BigInt(i)
    cursor = Cursor.remember({ ...cursor, seen: { number, hash: hex(i) } }, [
      { number, hash: hex(i), opened, closed: [] },
    ])
    cursor = Cursor.remove(
      cursor,
      opened.map((channelId) => ({ channelId, at: number })),
    )
  }
  expect(Cursor.format(cursor).length).toBeLessThan(1_000_000)
  expect(Cursor.parse(Cursor.format(cursor))).toEqual(cursor)
  const opens = cursor.recent.flatMap(({ opened }) => opened)
  expect(opens.length).toBeGreaterThan(4_000)
  expect(opens.at(-1)).toBe(hex(300_039))
  expect(cursor.recent.length).toBeGreaterThan(256)
})

test('finality', () => {
  expect([31_337, 1_337, 137].map((chainId) => finalityOf(chainId).depth)).toEqual([0n, 0n, 64n])
  expect(finalityOf(137, 128n)).toEqual({ depth: 128n })
})
