/** Openings when nodes lag, relays wait, clocks differ and clients sleep: one deposit, and none that is lost sight of. */
import { drainChannelAbi, GaslessOpen } from '@drain/core'
import { createWalletClient, decodeFunctionData, encodeFunctionResult, type Hex, http } from 'viem'
import { beforeEach, expect, test } from 'vitest'
import { type RpcProxy, startRpcProxy } from '../../provider/test/RpcProxy.ts'
import { findOpened } from '../src/client/findOpened.ts'
import { createWallet } from '../src/client/Wallet.ts'
import { approveUsdc, type DrainClient, memoryStore, relayGaslessOpen } from '../src/index.ts'
import { chain, clientsWith, provider, setUp, url } from './fixture.ts'
import { startTestProvider } from './TestProvider.ts'

setUp()

let client: DrainClient
let openedBefore: number
beforeEach(async () => {
  const { contract, chainId } = chain.deployment
  provider.pricing = { ...provider.pricing, provider: provider.account.address, contract, chainId }
  client = createClient()
  openedBefore = await allOpened()
})

const createClient = clientsWith(() => ({ limits: { perRequest: '0.05', perChannel: '1' } }))

const limits = { perRequest: '0.05', perChannel: '1', perProvider: '1' }
function deferred<value>() {
  let resolve: (value: value) => void = () => {}
  const promise = new Promise<value>((given) => {
    resolve = given
  })
  return { promise, resolve }
}

/** Confirms payments at once, and deposits when `answer` is called. */
function waiting() {
  let answer: (confirmed: boolean) => void = () => {}
  const asked = deferred<void>()
  return {
    asked: asked.promise,
    answer: (confirmed: boolean) => answer(confirmed),
    confirm: ({ kind }: { kind: string }) =>
      kind === 'request' ||
      new Promise<boolean>((resolve) => {
        answer = resolve
        asked.resolve()
      }),
  }
}

async function allOpened(): Promise<number> {
  const logs = await chain.publicClient.getContractEvents({
    address: chain.deployment.contract,
    abi: drainChannelAbi,
    eventName: 'ChannelOpened',
    args: { provider: provider.account.address },
    fromBlock: 0n,
  })
  return logs.length
}
const opened = async () => (await allOpened()) - openedBefore

/** A wallet behind a node that may lie. */
async function behind(lie: NonNullable<RpcProxy['lie']>) {
  const proxy = await startRpcProxy(chain.rpcUrl)
  proxy.lie = lie
  const walletClient = createWalletClient({
    account: chain.accounts[0],
    chain: chain.chain,
    transport: http(proxy.url, { retryDelay: 10 }),
    pollingInterval: 20,
    cacheTime: 0,
  })
  return { walletClient, close: () => proxy.close() }
}

const nonces = () =>
  chain.publicClient.readContract({
    address: chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'nonces',
    args: [chain.accounts[0].address],
  })

function isCallOf(name: string, params: readonly unknown[]): boolean {
  try {
    const { data } = params[0] as { data: Hex }
    return decodeFunctionData({ abi: drainChannelAbi, data }).functionName === name
  } catch {
    return false
  }
}

test('a node that is a block behind on the counter after the opening', async () => {
  const before = await nonces()
  let lies = 0
  const node = await behind(async ({ method, params }, ask) => {
    const answer = await ask()
    const isLate =
      method === 'eth_call' && isCallOf('nonces', params as unknown[]) && (await nonces()) > before
    if (!isLate || ++lies > 2) return answer
    return { result: encodeFunctionResult({ abi: drainChannelAbi, functionName: 'nonces', result: before }) }
  })
  client = createClient({ walletClient: node.walletClient })
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(lies).toBeGreaterThan(0)
  expect(await opened()).toBe(1)
  expect(await client.channels()).toHaveLength(1)
  await node.close()
})

test('a gateway that answers the transaction with an error and sends it all the same', async () => {
  let sends = 0
  const node = await behind(async ({ method }, ask) => {
    const answer = await ask()
    if (method !== 'eth_sendRawTransaction' || ++sends !== 2) return answer
    return { error: { code: -32603, message: 'request timed out' } }
  })
  client = createClient({ walletClient: node.walletClient })
  await expect(client.fetch(url('/joke'))).rejects.toThrow()
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await opened()).toBe(1)
  expect(await client.channels()).toHaveLength(1)
  await node.close()
})

test('a transaction that waits for longer than ten minutes is waited for', async () => {
  const { deployment, testClient } = chain
  const walletClient = chain.walletClient(chain.accounts[3])
  const [amount, duration] = [1_000_000n, 3_600n]
  await approveUsdc(walletClient, { deployment, amount })
  await testClient.setAutomine(false)
  const hash = await walletClient.writeContract({
    address: deployment.contract,
    abi: drainChannelAbi,
    functionName: 'open',
    args: [provider.account.address, amount, duration],
  })
  const parts = { account: undefined, chain: undefined, rpcUrl: undefined }
  const wallet = createWallet({ ...parts, walletClient, deployment })
  const begunAt = Date.now()
  const opening = { origin: 'http://x', provider: provider.account.address, amount, duration, begunAt }
  expect(await findOpened(wallet, { ...opening, hash }, begunAt + 3_600_000)).toBe('pending')
  // One that was never sent is given up, once the node knows of none that waits.
  await testClient.setAutomine(true)
  await testClient.mine({ blocks: 1 })
  expect(await findOpened(wallet, { ...opening, hash }, begunAt)).toMatchObject({
    channel: { deposit: amount },
  })
  expect(await findOpened(wallet, opening, begunAt + 59_000)).toBe('pending')
  expect(await findOpened(wallet, opening, begunAt + 61_000)).toBeUndefined()
})

test('a client that slept while its user was asked does not open beside another', async () => {
  let time = Date.now()
  const store = memoryStore()
  const user = waiting()
  const sleeper = createClient({ store, now: () => time, limits: { ...limits, confirm: user.confirm } })
  const other = createClient({ store, now: () => time, limits })
  const late = sleeper.fetch(url('/joke'))
  await user.asked
  time += 61_000
  expect((await other.fetch(url('/joke'))).status).toBe(200)
  user.answer(true)
  await expect(late).rejects.toMatchObject({ code: 'opening_overtaken' })
  expect(await opened()).toBe(1)
  expect((await sleeper.fetch(url('/joke'))).status).toBe(200)
  expect((await other.spending()).locked).toBe('1')
})

test('a client that slept before it sent what it had begun does not send it beside another’s', async () => {
  let time = Date.now()
  const [asked, awake] = [deferred<void>(), deferred<void>()]
  const node = await behind(async ({ method, params }, ask) => {
    const answer = await ask()
    if (method !== 'eth_call' || !isCallOf('open', params)) return answer
    asked.resolve()
    await awake.promise
    return answer
  })
  const store = memoryStore()
  const sleeper = createClient({ store, now: () => time, walletClient: node.walletClient })
  const other = createClient({ store, now: () => time })
  const late = sleeper.fetch(url('/joke'))
  await asked.promise
  time += 130_000
  expect((await other.fetch(url('/joke'))).status).toBe(200)
  awake.resolve()
  await expect(late).rejects.toMatchObject({ code: 'opening_overtaken' })
  expect(await opened()).toBe(1)
  expect((await other.spending()).locked).toBe('1')
  await node.close()
})

test('a clock that is far ahead makes one channel, whatever else is open', async () => {
  client = createClient({
    now: () => Date.now() + 30 * 3_600_000,
    limits: { perRequest: '0.3', perChannel: '0.5', perProvider: '3' },
  })
  await client.openChannel({ origin: provider.origin, amount: '0.1' })
  provider.quote = 200_000n
  await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ code: 'clock_differs' })
  expect(await opened()).toBe(2)
})

test('a node that lies about the time does not get a second authorization while the first one holds', async () => {
  let lies = false
  const node = await behind(async ({ method }, ask) => {
    const answer = await ask()
    if (!lies || method !== 'eth_getBlockByNumber') return answer
    const block = answer.result as { timestamp: Hex }
    return { result: { ...block, timestamp: `0x${(Number(block.timestamp) + 700).toString(16)}` } }
  })
  provider.pricing = { ...provider.pricing, features: ['open'] }
  const bodies = new Map<string, string>()
  provider.instead = (_, { path, body }) => {
    if (path !== '/v1/open') return undefined
    bodies.set(JSON.parse(body).salt, body)
    return Response.json({ error: { code: 'open_pending', message: 'in a moment' } }, { status: 503 })
  }
  client = createClient({ walletClient: node.walletClient, gasless: true, limits })
  for (let index = 0; index < 3; index++) {
    await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ code: 'opening_unresolved' })
    lies = true
  }
  expect(bodies.size).toBe(1)
  lies = false
  // Somebody sends it after all: it is found, and used.
  const [body = ''] = bodies.values()
  const open = GaslessOpen.fromJson(JSON.parse(body))
  await relayGaslessOpen(chain.walletClient(chain.accounts[3]), { deployment: chain.deployment, open })
  provider.instead = () => undefined
  await client.fetch(url('/joke')).catch(() => {})
  expect(await client.channels()).toHaveLength(1)
  expect(await opened()).toBe(1)
  await node.close()
})

test('a relay that does not answer holds up nobody else', async () => {
  const slow = await startTestProvider(chain, chain.accounts[2])
  slow.pricing = { ...slow.pricing, features: ['open'] }
  const never = deferred<Response>()
  slow.instead = (_, { path }) => (path === '/v1/open' ? never.promise : undefined)
  client = createClient({ gasless: true })
  const stuck = client.fetch(`${slow.origin}/joke`).catch(() => {})
  await expect.poll(() => slow.seen.some(({ path }) => path === '/v1/open')).toBe(true)
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  never.resolve(new Response('', { status: 404 }))
  await stuck
  await slow.close()
})

test('a turn that was taken with a clock a year ahead holds nobody up for a year', async () => {
  const store = memoryStore()
  const user = waiting()
  const ahead = () => Date.now() + 365 * 86_400_000
  const dead = createClient({ store, now: ahead, limits: { ...limits, confirm: user.confirm } })
  dead.fetch(url('/joke')).catch(() => {})
  await user.asked
  expect((await createClient({ store, limits }).fetch(url('/joke'))).status).toBe(200)
  user.answer(false)
})

test('a channel that was opened in advance and expired unused does not stand in the way', async () => {
  let ahead = 0
  client = createClient({ now: () => Date.now() + ahead })
  await client.openChannel({ origin: provider.origin, duration: '1h' })
  ahead = 2 * 3_600_000
  await chain.testClient.increaseTime({ seconds: 7_200 })
  await chain.testClient.mine({ blocks: 1 })
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await opened()).toBe(2)
})

test('an opening gets what its caller asks for, or says why not', async () => {
  client = createClient({ limits: { perRequest: '0.05', perChannel: '5' } })
  const { origin } = provider
  const both = await Promise.all([
    client.openChannel({ origin, amount: '0.1', duration: '2h' }),
    client.openChannel({ origin, amount: '3' }),
  ])
  expect(both.map(({ deposit }) => deposit)).toEqual(['0.1', '3'])
  provider.pricing = { ...provider.pricing, terms: { minDeposit: '0.5', minDuration: 7_200 } }
  const other = createClient()
  await expect(other.openChannel({ origin, amount: '0.4' })).rejects.toThrow(
    /deposits of at least 0\.500000 USDC/,
  )
  await expect(other.openChannel({ origin, duration: '1h' })).rejects.toThrow(/channels of 2h to 365d/)
  await expect(other.openChannel({ origin, amount: '1.1' })).rejects.toMatchObject({ limit: 'perChannel' })
  expect(await opened()).toBe(2)
})

test('what is locked with all providers together has a limit', async () => {
  client = createClient({ limits: { perRequest: '0.05', perChannel: '1', locked: '2.5' } })
  const others = await Promise.all(
    [2, 3, 4].map((index) => startTestProvider(chain, chain.accounts[index] as never)),
  )
  const outcomes: unknown[] = []
  for (const { origin } of others) {
    outcomes.push(
      await client.fetch(`${origin}/joke`).then(
        ({ status }) => status,
        ({ limit }) => limit,
      ),
    )
  }
  expect(outcomes).toEqual([200, 200, 'locked'])
  expect((await client.spending()).locked).toBe('2')
  await Promise.all(others.map((one) => one.close()))
})

test('what has expired elsewhere is closed before it stands in the way', async () => {
  let ahead = 0
  const now = () => Date.now() + ahead
  client = createClient({ now, limits: { perRequest: '0.05', perChannel: '1', locked: '1' } })
  const other = await startTestProvider(chain, chain.accounts[2])
  expect((await client.fetch(`${other.origin}/joke`)).status).toBe(200)
  await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ limit: 'locked' })
  const { timestamp } = await chain.publicClient.getBlock()
  ahead = Number(timestamp) * 1_000 - Date.now() + 86_400_000
  await chain.testClient.increaseTime({ seconds: 86_400 })
  await chain.testClient.mine({ blocks: 1 })
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
  await other.close()
})

test('an abort ends the waiting for an opening, and opens nothing that has not begun', async () => {
  const user = waiting()
  const asking = createClient({ limits: { ...limits, confirm: user.confirm } })
  const patience = new AbortController()
  const stopped = asking.fetch(url('/joke'), { signal: patience.signal })
  await user.asked
  patience.abort(new Error('enough'))
  await expect(stopped).rejects.toThrow('enough')
  user.answer(false)

  const early = new AbortController()
  provider.instead = (_, { path }) => {
    if (path === '/v1/pricing') early.abort(new Error('never mind'))
    return undefined
  }
  await expect(createClient().fetch(url('/joke'), { signal: early.signal })).rejects.toThrow('never mind')
  expect(await opened()).toBe(0)
})
