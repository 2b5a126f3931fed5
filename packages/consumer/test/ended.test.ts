/** Channels that end, or seem to, without this client's doing: what a provider takes, what a node that lags says. */
import { ChannelGoneError, drainChannelAbi, UntrustedProviderError } from '@drain/core'
import { createWalletClient, decodeFunctionData, encodeFunctionResult, type Hex, http } from 'viem'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type RpcProxy, startRpcProxy } from '../../provider/test/RpcProxy.ts'
import { type DrainClient, memoryStore } from '../src/index.ts'
import { chain, clientsWith, provider, setUp, url } from './fixture.ts'
import { serve } from './serve.ts'

setUp()

let node: RpcProxy
let client: DrainClient
let time: number
let fromBlock: bigint
/** Whether the node answers as if it had never seen a channel: to all, or where no block is named. */
let isBehind: boolean | 'latest'
beforeAll(async () => {
  node = await startRpcProxy(chain.rpcUrl)
  node.lie = async ({ method, params }, ask) => {
    const isAsked = isBehind && method === 'eth_call' && isGetChannel(params)
    return isAsked && (isBehind !== 'latest' || params[1] === 'latest') ? { result: noChannel } : ask()
  }
})
afterAll(() => node.close())
beforeEach(async () => {
  isBehind = false
  time = Number((await chain.publicClient.getBlock()).timestamp) * 1_000
  fromBlock = (await chain.publicClient.getBlockNumber()) + 1n
  client = createClient()
})

const createClient = clientsWith(() => ({
  walletClient: wallet(node.url),
  limits: { perRequest: '0.05', perChannel: '1' },
  now: () => time,
}))

function wallet(address: string) {
  const transport = http(address, { retryCount: 0 })
  return createWalletClient({
    ...{ account: chain.accounts[0], chain: chain.chain, transport },
    ...{ pollingInterval: 20, cacheTime: 0 },
  })
}

const nobody = `0x${'0'.repeat(40)}` as const
const noChannel = encodeFunctionResult({
  ...{ abi: drainChannelAbi, functionName: 'getChannel' },
  result: [nobody, nobody, 0n, 0n, 0n],
})
function isGetChannel([call]: readonly unknown[]): boolean {
  try {
    const { data } = call as { data: Hex }
    return decodeFunctionData({ abi: drainChannelAbi, data }).functionName === 'getChannel'
  } catch {
    return false
  }
}

const recover = () => client.recover({ fromBlock })
const states = async () => (await client.channels()).map(({ state }) => state)
const refusal = (code: string) => new Response('', { status: 402, headers: { 'X-DRAIN-Error': code } })

/** The provider takes all that was signed for its only channel, and closes it. */
async function takeAll(): Promise<void> {
  const { channelId = '0x', amount = 0n, nonce = 0n, signature = '0x' } = provider.vouchers().at(-1) ?? {}
  const hash = await chain.walletClient(chain.accounts[1]).writeContract({
    ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'claimAndClose' },
    args: [channelId, amount, nonce, amount, signature],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
}

/** Three requests at a tenth of their price, and what the client tells afterwards. */
async function watched() {
  provider.cost = (quote) => quote / 10n
  for (let index = 0; index < 3; index++) await client.fetch(url('/joke'))
  const told: string[] = []
  client.on('closed', ({ finalAmount, refund }) => told.push(`closed ${finalAmount} ${refund}`))
  client.on('refused', ({ error }) => told.push((error as Error).name))
  return told
}

test('a provider that closes by itself and takes all that was signed: the request that notices says so, once', async () => {
  const told = await watched()
  await takeAll()
  const noticing = client.fetch(url('/joke'))
  await expect(noticing).rejects.toThrow(UntrustedProviderError)
  await expect(noticing).rejects.toThrow(/takes 0\.001200 USDC .* at most 0\.000300 USDC was charged/)
  expect(told).toEqual(['closed 0.0012 0.9988', 'UntrustedProviderError'])
  expect(await client.spending()).toMatchObject({ charged: '0.0012', locked: '0' })
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await states()).toEqual(['closed', 'open'])
})

test.each([
  ['recover', () => recover()],
  ['close', () => client.closeAll()],
])('%s says so, too', async (_, notice) => {
  const told = await watched()
  await takeAll()
  provider.instead = () => new Response('', { status: 404 })
  await expect(notice()).rejects.toThrow(UntrustedProviderError)
  expect(told).toEqual(['closed 0.0012 0.9988'])
  expect(await states()).toEqual(['closed'])
  expect(await notice()).toEqual([])
})

test('a channel that is closed while a stream is read: its cost is counted once', async () => {
  await client.fetch(url('/joke'))
  const stream = await client.fetch(url('/stream'))
  expect(await client.close(provider.origin)).toMatchObject({ finalAmount: '0.002' })
  await stream.text()
  expect(await client.spending()).toMatchObject({ charged: '0.002' })
})

test('a fresh channel that no node sees yet is waited for', async () => {
  let unseen = 3
  provider.instead = (_, { voucher }) => {
    if (!voucher || unseen < 0) return undefined
    isBehind = --unseen > 0
    return unseen < 0 ? undefined : refusal('channel_not_found')
  }
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await states()).toEqual(['open'])
})

test('a channel that neither its provider nor this client’s node finds stays, and nothing is opened beside it', async () => {
  await client.fetch(url('/joke'))
  isBehind = true
  provider.instead = (_, { voucher }) => (voucher ? refusal('channel_not_found') : undefined)
  const lost = client.fetch(url('/joke'))
  await expect(lost).rejects.toThrow(ChannelGoneError)
  await expect(lost).rejects.toThrow(/nor does this client’s node find it.*Try again/)
  await recover()
  expect(await states()).toEqual(['open'])

  isBehind = false
  provider.instead = () => undefined
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await states()).toEqual(['open'])
})

test('one that is absent for minutes and blocks counts as closed; found after all, it pays again', async () => {
  await client.fetch(url('/joke'))
  isBehind = true
  await recover()
  time += 180_000
  await recover()
  expect(await states()).toEqual(['open'])
  await chain.testClient.mine({ blocks: 32 })
  await recover()
  expect(await states()).toEqual(['closed'])

  isBehind = false
  await recover()
  expect(await states()).toEqual(['open'])
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(provider.vouchers().at(-1)).toMatchObject({ amount: 2_000n })
})

test('a provider that refuses each channel after an answer gets three of them within an hour', async () => {
  const served = new Set<Hex>()
  provider.instead = (_, { voucher }) => {
    if (!voucher || !served.has(voucher.channelId)) {
      if (voucher) served.add(voucher.channelId)
      return undefined
    }
    return refusal('channel_closing')
  }
  for (let index = 0; index < 3; index++) expect((await client.fetch(url('/joke'))).status).toBe(200)
  for (let index = 0; index < 3; index++) {
    const refused = client.fetch(url('/joke'))
    await expect(refused).rejects.toThrow(ChannelGoneError)
    await expect(refused).rejects.toThrow(/has refused 3 channels within an hour.*No other .* before 2/)
  }
  expect(await states()).toEqual(['closed', 'closed', 'closed'])
  time += 3_600_000
  expect((await client.fetch(url('/joke'))).status).toBe(200)
})

test('one that closes each channel before it serves on it gets no more of them', async () => {
  provider.instead = async (_, { voucher }) => {
    if (!voucher) return undefined
    // What nothing was claimed of is closed without a voucher.
    await chain.walletClient(chain.accounts[1]).writeContract({
      ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'claimAndClose' },
      args: [voucher.channelId, 0n, 0n, 0n, '0x'],
    })
    return refusal('channel_not_found')
  }
  for (let index = 0; index < 5; index++) {
    await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ rejection: 'channel_not_found' })
  }
  expect(await states()).toEqual(['closed', 'closed', 'closed'])
})

test('a node that stands still behind others that don’t: what it does not find is not taken for closed', async () => {
  await client.fetch(url('/joke'))
  for (let index = 0; index < 2; index++) {
    isBehind = 'latest'
    await recover()
    isBehind = false
    expect((await client.fetch(url('/joke'))).status).toBe(200)
    time += 180_000
    await chain.testClient.mine({ blocks: 32 })
  }
  expect(await states()).toEqual(['open'])
})

test('requests that were charged and whose process died: the channel is closed for that, and the next one pays', async () => {
  const store = memoryStore()
  const limits = { perRequest: '0.001', perChannel: '1' }
  time = Date.now() - 301_000
  const dying = createClient({ store, limits, fetch: withoutPaidAnswers })
  await createClient({ store, limits }).fetch(url('/joke'))
  for (let index = 0; index < 10; index++) dying.fetch(url('/joke')).catch(() => {})
  await expect.poll(() => provider.charged()).toBe(11_000n)
  time = Date.now()
  client = createClient({ store, limits })
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await states()).toEqual(['closed', 'open'])
  expect(await client.spending()).toMatchObject({ charged: '0.012', locked: '1' })
})

const withoutPaidAnswers: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  return new Headers(init?.headers).has('X-DRAIN-Voucher') ? new Promise<never>(() => {}) : response
}

test('an error does not tell the key in the address of the node', async () => {
  const down = await serve(() => new Response('', { status: 500 }))
  client = createClient({ walletClient: wallet(`${down.origin}/v2/SECRET`) })
  const error = await client.fetch(url('/joke')).catch((error) => error)
  await down.close()
  for (let one = error; one instanceof Error; one = one.cause as Error) {
    expect(`${one.stack}${one.message}${JSON.stringify(one)}`).not.toContain('SECRET')
  }
  expect(error.message).toContain(`${down.origin}/…`)
})
