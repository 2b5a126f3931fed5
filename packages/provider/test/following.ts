/**
 * Following the contract on a real chain, with its real contract: what the tests of it have in common. What is set anew before each
 * test is exported as a variable.
 */
import { join } from 'node:path'
import { type Deployment, drainChannelAbi, Voucher } from '@drain/core'
import type { Ledger } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Abi, createPublicClient, type Hex, http, type LocalAccount } from 'viem'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { type Alarm, alarms } from '../src/ledger/alarms.ts'
import { createLogger } from '../src/observe/Log.ts'
import * as Cursor from '../src/settle/Cursor.ts'
import { createFollower, type Follower } from '../src/settle/Follower.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

export let fixture: Fixture
export let proxy: RpcProxy
export let ledger: Ledger
/** Transactions of this provider. */
export let ours: Set<Hex>
export let forgotten: Hex[]
export let lines: string[]

let ledgers = 0
/** The name of the file of `ledger`. */
let name: string
let opener = openLedger

/** Sets up the chain, and before each test a proxy to it and an empty ledger. `open` opens it; default: an SQLite file. */
export function startFollowing(open: (name: string) => Ledger = openLedger): void {
  opener = open
  beforeAll(async () => {
    fixture = await startFixture()
  })
  afterAll(() => fixture?.close())
  beforeEach(async () => {
    proxy = await startRpcProxy(fixture.chain.rpcUrl)
    name = nextName()
    ledger = open(name)
    await mine(10) // between the claims of one test and the next one's ledger
    ours = new Set()
    forgotten = []
    lines = []
    return async () => {
      await ledger.close()
      await proxy.close()
    }
  })
}

const nextName = () => `follower-${ledgers++}`

/** The ledger of the test once more, as another process has it open, or another one. */
export const openAgain = () => opener(name)
export const openOther = () => opener(nextName())

function openLedger(name: string): Ledger {
  const { chainId, deployment } = fixture.chain
  const open = sqliteLedger(join(fixture.folder, `${name}.db`), { log: () => {} })
  return open({ chainId, contract: deployment.contract, provider: fixture.provider.address })
}

type Options = {
  depth?: bigint
  on?: Ledger
  deployment?: Deployment.Deployment
  clock?: () => number
  dust?: bigint
}

export function follow({
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
    paidAbove: async () => [],
    forget: (channelId) => forgotten.push(channelId),
    log: createLogger((line) => lines.push(line)),
    ...options,
  })
}

export const mine = (blocks: number) => fixture.chain.testClient.mine({ blocks })

export async function rpc(method: string, params: unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const headers = { 'Content-Type': 'application/json' }
  const answer = await fetch(fixture.chain.rpcUrl, { method: 'POST', body, headers })
  const { result, error } = (await answer.json()) as { result: unknown; error?: { message: string } }
  if (error) throw new Error(error.message)
  return result
}

/** A node that takes no ranges of more blocks. */
export function tooLong(limit: bigint): NonNullable<RpcProxy['lie']> {
  return async ({ method, params = [] }, ask) => {
    const [{ fromBlock, toBlock } = {}] = params as { fromBlock?: string; toBlock?: string }[]
    // Without an end it is up to the newest block.
    const isShort = fromBlock && toBlock && BigInt(toBlock) - BigInt(fromBlock) < limit
    const isTooLong = method === 'eth_getLogs' && !isShort
    return isTooLong ? { error: { code: -32_005, message: 'block range is too wide' } } : ask()
  }
}

/** Puts that many of the latest blocks in the place of others, which are empty. */
export const reorganise = (depth: number) => rpc('anvil_reorg', [depth, []])

export async function all<item>(items: AsyncIterable<item>): Promise<item[]> {
  const found: item[] = []
  for await (const item of items) found.push(item)
  return found
}

export async function allAlarms(): Promise<Omit<Alarm, 'at'>[]> {
  return (await all(alarms(ledger.notebook))).map(({ at, ...alarm }) => alarm)
}

export async function storedCursor(): Promise<Cursor.Cursor> {
  for await (const { key, text } of ledger.notebook.read('cursor'))
    if (key === 'cursor') return Cursor.parse(text)
  throw new Error('no cursor')
}

export async function factsOf(channelId: Hex) {
  const [consumer, provider, deposit, claimed, expiry] = await fixture.chain.publicClient.readContract({
    address: fixture.chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'getChannel',
    args: [channelId],
  })
  return { channelId, consumer, provider, deposit, claimed, expiry }
}

let nonces = 0n
export async function sign(channel: OpenChannel, amount: bigint) {
  const nonce = ++nonces
  const unsigned = { channelId: channel.id, amount, nonce }
  const typedData = Voucher.typedData(unsigned, fixture.chain.deployment)
  return { amount, nonce, signature: await fixture.consumer.signTypedData(typedData) }
}

/** Charges a channel, as a served request does. */
export async function serve(channel: OpenChannel, amount: bigint) {
  const voucher = await sign(channel, amount)
  const reserved = await ledger.reserve({ channel: await factsOf(channel.id), voucher, quote: amount })
  if (!reserved.ok) throw new Error(reserved.code)
  await ledger.capture(reserved.reservationId, amount)
  return voucher
}

type Call = 'claim' | 'claimAndClose' | 'close' | 'cooperativeClose'

/** Sends a transaction, and waits until it is mined. */
export async function send(from: LocalAccount, functionName: Call, args: readonly unknown[]): Promise<Hex> {
  const { deployment, publicClient } = fixture.chain
  const abi: Abi = drainChannelAbi
  const call = { address: deployment.contract, abi, functionName, args }
  const hash = await fixture.chain.walletClient(from).writeContract(call)
  const { status } = await publicClient.waitForTransactionReceipt({ hash })
  expect(status).toBe('success')
  return hash
}

export async function claim(channel: OpenChannel, amount: bigint, options: { ours: boolean }): Promise<Hex> {
  const { nonce, signature } = await sign(channel, amount)
  const hash = await send(fixture.provider, 'claim', [channel.id, amount, nonce, signature])
  if (options.ours) ours.add(hash)
  return hash
}

export async function expire(channel: OpenChannel): Promise<void> {
  const { expiry } = await factsOf(channel.id)
  await fixture.chain.testClient.setNextBlockTimestamp({ timestamp: expiry })
  await mine(1)
}
