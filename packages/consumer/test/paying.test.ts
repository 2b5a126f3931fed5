/** The client against an honest provider: what it sends, signs and remembers. */
import {
  LimitExceededError,
  PaymentRejectedError,
  PaymentUnknownError,
  Usdc,
  Headers as Wire,
} from '@drain/core'
import { erc20Abi, parseEventLogs } from 'viem'
import { beforeEach, expect, test } from 'vitest'
import { cooperativeClose, type DrainClient, memoryStore } from '../src/index.ts'
import { amounts, chain, createClient, provider, setUp, url } from './fixture.ts'
import { dropped } from './serve.ts'
import { consent, startTestProvider } from './TestProvider.ts'

setUp()

let client: DrainClient
beforeEach(() => {
  client = createClient()
})

const paths = () =>
  provider.seen.map(({ method, path, voucher }) => `${method} ${path}${voucher ? ' paid' : ''}`)

/** Holds requests at work until `count` of them run at the same time. */
function untilTogether(count: number): () => Promise<void> {
  let waiting = 0
  let open: () => void = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  return () => {
    if (++waiting === count) open()
    return gate
  }
}

test('pays what asks to be paid, and passes everything else as it is', async () => {
  const { fetch } = client
  expect(await (await fetch(url('/free'))).text()).toBe('free')
  expect(await client.channels()).toEqual([])
  const response = await fetch(url('/joke'))
  expect(await response.json()).toEqual({ paid: '1000' })
  expect(Wire.parseCosts(response.headers)).toMatchObject({ cost: 1_000n, total: 1_000n })
  expect(paths()).toEqual(['GET /free', 'GET /joke', 'GET /v1/pricing', 'GET /joke paid'])
})

test('the first request opens a channel for a thousand like it, with an approval for exactly that', async () => {
  const before = await chain.publicClient.getBlockNumber()
  await client.fetch(url('/joke'))
  const [channel] = await client.channels()
  expect(channel).toMatchObject({
    origin: provider.origin,
    provider: provider.account.address,
    state: 'open',
    deposit: '1',
    signed: '0.001',
    charged: '0.001',
    remaining: '0.999',
  })
  const logs = await chain.publicClient.getLogs({ fromBlock: before + 1n, toBlock: before + 2n })
  const approvals = parseEventLogs({ abi: erc20Abi, eventName: 'Approval', logs })
  expect(approvals[0]?.args.value).toBe(1_000_000n)
  expect(await chain.publicClient.getBlockNumber()).toBe(before + 2n)
})

test('from then on a request takes one round trip, and signs what was charged and its own price', async () => {
  provider.cost = (quote) => quote / 4n
  for (let index = 0; index < 4; index++) await client.fetch(url('/joke'))
  expect(paths().slice(3)).toEqual(['GET /joke paid', 'GET /joke paid', 'GET /joke paid'])
  expect(amounts()).toEqual([1_000n, 1_250n, 1_500n, 1_750n])
  expect(await client.spending()).toEqual({
    charged: '0.001',
    signed: '0.00175',
    today: '0.00175',
    locked: '1',
  })
})

test('nonces rise by one', async () => {
  for (let index = 0; index < 3; index++) await client.fetch(url('/joke'))
  const [first, second, third] = provider.vouchers().map(({ nonce }) => nonce)
  expect([second, third]).toEqual([(first ?? 0n) + 1n, (first ?? 0n) + 2n])
})

test('parallel first requests open one channel and are all served', async () => {
  const count = 20
  provider.work = untilTogether(count)
  const before = await chain.publicClient.getBlockNumber()
  const responses = await Promise.all(Array.from({ length: count }, () => client.fetch(url('/joke'))))
  expect(responses.map(({ status }) => status)).toEqual(Array(count).fill(200))
  expect(await chain.publicClient.getBlockNumber()).toBe(before + 2n)
  expect(await client.channels()).toHaveLength(1)
  expect(new Set(provider.vouchers().map(({ nonce }) => nonce)).size).toBe(count)
  expect(amounts().sort((a, b) => Number(a - b))).toEqual(
    Array.from({ length: count }, (_, i) => BigInt(i + 1) * 1_000n),
  )
  expect(provider.charged()).toBe(20_000n)
})

test('a mix of parallel requests with different costs: in the end the sums agree to the unit', async () => {
  let index = 0n
  provider.cost = (quote) => (quote * (++index % 11n)) / 10n
  await client.fetch(url('/joke'))
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 10 }, (_, i) => client.fetch(url(i % 2 ? '/joke' : '/fact'))))
  }
  const spending = await client.spending()
  expect(spending.charged).toBe(Usdc.format(provider.charged()))
  await client.fetch(url('/joke'))
  expect(amounts().at(-1)).toBeLessThanOrEqual(provider.charged() + 1_000n)
  expect(Usdc.parse((await client.spending()).signed)).toBeLessThanOrEqual(provider.charged() + 11_000n)
})

test('a chat costs what its model and body cost: one round trip, whatever the body', async () => {
  const ask = (content: string) => {
    const body = JSON.stringify({ model: 'small', messages: [{ role: 'user', content }], max_tokens: 10 })
    return client.fetch(url('/v1/chat/completions'), { method: 'POST', body })
  }
  await ask('Hello')
  await ask('A much longer question than the one before, which costs more')
  expect(paths().slice(3)).toEqual(['POST /v1/chat/completions paid'])
  expect((await ask('?')).status).toBe(200)
  expect(provider.seen).toHaveLength(5)
})

test('bodies arrive whole on the paid attempt: strings, streams, Requests', async () => {
  const stream = { method: 'POST', body: new Blob(['streamed']).stream(), duplex: 'half' } as RequestInit
  await client.fetch(url('/a'), { method: 'POST', body: 'text' })
  await client.fetch(url('/b'), stream)
  await client.fetch(new Request(url('/c'), { method: 'POST', body: 'request' }))
  await client.fetch(new URL(url('/d')), { method: 'POST', body: new URLSearchParams({ q: '1' }) })
  const paid = provider.seen.filter(({ voucher }) => voucher)
  expect(paid.map(({ body }) => body)).toEqual(['text', 'streamed', 'request', 'q=1'])
})

test('whoever attaches a voucher by hand pays by hand', async () => {
  const headers = { 'X-Payment-Voucher': '{}' }
  expect((await client.fetch(url('/joke'), { headers })).status).toBe(402)
  expect(provider.seen).toHaveLength(1)
})

test('a changed price is paid after one correction, on the next request at once', async () => {
  await client.fetch(url('/joke'))
  provider.quote = 3_000n
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toEqual([1_000n, 2_000n, 4_000n, 7_000n])
})

test('a price above the limit is refused and nothing is signed; once it is lower, it is paid', async () => {
  provider.quote = 50_001n
  const before = await chain.publicClient.getBlockNumber()
  await expect(client.fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
  provider.quote = 1_000n
  await client.fetch(url('/joke'))
  provider.quote = 60_000n
  const raised = client.fetch(url('/joke'))
  await expect(raised).rejects.toThrow(/may cost 0\.060000 USDC, the limit per request is 0\.050000 USDC/)
  // The price that was known was signed; not the raised one.
  expect(amounts()).toEqual([1_000n, 2_000n])
  expect(await chain.publicClient.getBlockNumber()).toBe(before + 2n)
  await expect(client.fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
  provider.quote = 2_000n
  await client.fetch(url('/joke'))
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n])
})

test('limits per channel, provider and day: nothing is opened or signed beyond them', async () => {
  const limited = (limits: object) =>
    createClient({ limits: { perRequest: '0.05', perChannel: '5', ...limits } })
  const before = await chain.publicClient.getBlockNumber()
  await expect(limited({ perChannel: '0.05' }).fetch(url('/joke'))).rejects.toMatchObject({
    limit: 'perChannel',
  })
  await expect(limited({ perProvider: '0.09' }).fetch(url('/joke'))).rejects.toMatchObject({
    limit: 'perProvider',
  })
  await expect(limited({ perDay: '0.0009' }).fetch(url('/joke'))).rejects.toMatchObject({ limit: 'perDay' })
  provider.pricing = { terms: { minDuration: '25h' } }
  await expect(limited({}).fetch(url('/joke'))).rejects.toMatchObject({ limit: 'duration' })
  expect(await chain.publicClient.getBlockNumber()).toBe(before)
  expect(provider.vouchers()).toEqual([])
})

test('the day’s limit ends with the day', async () => {
  let time = Date.now()
  const day = createClient({
    limits: { perRequest: '1', perChannel: '5', perDay: '0.002', duration: '30d' },
    now: () => time,
  })
  provider.pricing = { terms: { recommendedDuration: '30d' } }
  await day.fetch(url('/joke'))
  await day.fetch(url('/joke'))
  await expect(day.fetch(url('/joke'))).rejects.toMatchObject({ limit: 'perDay' })
  expect((await day.spending()).today).toBe('0.002')
  time += 86_400_000
  expect((await day.spending()).today).toBe('0')
  await day.fetch(url('/joke'))
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n])
})

test('a request that fails on the way signs the same amount again', async () => {
  await client.fetch(url('/joke'))
  provider.instead = (_, { voucher }) => (voucher ? dropped : undefined)
  await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentUnknownError)
  await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentUnknownError)
  provider.instead = (_, { voucher }) => (voucher ? new Response('down', { status: 500 }) : undefined)
  expect((await client.fetch(url('/joke'))).status).toBe(500)
  provider.instead = () => undefined
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toEqual([1_000n, 2_000n, 2_000n, 2_000n, 2_000n])
  expect(provider.charged()).toBe(2_000n)
})

test('an answer that was charged and lost is accepted as charged, once', async () => {
  await client.fetch(url('/joke'))
  const { work } = provider
  provider.work = () => Promise.reject(new Error('connection lost'))
  await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentUnknownError)
  const [channel] = await client.channels()
  const books = provider.books(channel?.channelId ?? '0x')
  books.reserved -= 1_000n
  books.charged += 1_000n
  provider.work = work
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toEqual([1_000n, 2_000n, 2_000n, 3_000n])
  expect((await client.spending()).charged).toBe('0.003')
})

test('refusals that are not about money reach the caller, and leave no trace', async () => {
  await client.fetch(url('/joke'))
  const headers = { 'X-DRAIN-Error': 'unavailable' }
  provider.instead = (_, { voucher }) =>
    voucher ? new Response('later', { status: 503, headers }) : undefined
  expect((await client.fetch(url('/joke'))).status).toBe(503)
  provider.instead = () => undefined
  await client.fetch(url('/joke'))
  expect(amounts()).toEqual([1_000n, 2_000n, 2_000n])
})

test('a used-up channel is followed by the next', async () => {
  provider.pricing = {}
  const small = createClient({ limits: { perRequest: '1', perChannel: '0.0035' } })
  for (let index = 0; index < 7; index++) expect((await small.fetch(url('/joke'))).status).toBe(200)
  expect((await small.channels()).map(({ charged }) => charged)).toEqual(['0.003', '0.003', '0.001'])
})

test('the limit per provider counts what is left of deposits, not what was delivered', async () => {
  provider.pricing = {}
  const limits = { perRequest: '1', perChannel: '0.002', perProvider: '0.002', perDay: '1' }
  const small = createClient({ limits })
  for (let index = 0; index < 6; index++) expect((await small.fetch(url('/joke'))).status).toBe(200)
  expect((await small.channels()).map(({ charged }) => charged)).toEqual(['0.002', '0.002', '0.002'])
  // What is left of a channel that the next request doesn't fit in.
  await small.fetch(url('/joke'))
  provider.quote = 1_500n
  await expect(small.fetch(url('/another'))).rejects.toMatchObject({ limit: 'perProvider' })
})

/** Unix milliseconds by the newest block: a chain whose blocks come fast runs ahead of the clock. */
const chainTime = async () => Number((await chain.publicClient.getBlock()).timestamp) * 1_000

test('a channel about to expire is followed by the next', async () => {
  let time = await chainTime()
  const soon = createClient({ now: () => time })
  await soon.fetch(url('/joke'))
  const [{ expiry = 0n } = {}] = await soon.channels()
  // A provider stops an hour before the expiry.
  time = Number(expiry - 3_601n) * 1_000
  await soon.fetch(url('/joke'))
  expect(await soon.channels()).toHaveLength(1)
  time = Number(expiry - 3_600n) * 1_000
  await chain.testClient.setNextBlockTimestamp({ timestamp: expiry - 3_600n })
  await soon.fetch(url('/joke'))
  expect(await soon.channels()).toHaveLength(2)
})

test('a clock that is far ahead opens one channel that it cannot use, not one after another', async () => {
  const time = (await chainTime()) + 24 * 3_600_000
  const ahead = createClient({ now: () => time })
  await expect(ahead.fetch(url('/joke'))).rejects.toMatchObject({ code: 'clock_differs' })
  await expect(ahead.fetch(url('/joke'))).rejects.toMatchObject({ code: 'clock_differs' })
  expect(await ahead.channels()).toHaveLength(1)
  expect(provider.vouchers()).toEqual([])
})

/** Refuses the client's first channel. */
async function refuseFirst(code: string): Promise<void> {
  const [first] = await client.channels()
  provider.instead = (_, { voucher }) =>
    voucher?.channelId === first?.channelId
      ? new Response('', { status: 402, headers: { 'X-DRAIN-Error': code } })
      : undefined
}

test('after service, channel_closing closes the channel and opens the next', async () => {
  await client.fetch(url('/joke'))
  await refuseFirst('channel_closing')
  const responses = await Promise.all([1, 2, 3].map(() => client.fetch(url('/joke'))))
  expect(responses.map(({ status }) => status)).toEqual([200, 200, 200])
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
  expect((await client.spending()).charged).toBe('0.004')
})

test('near the expiry, channel_expired does the same', async () => {
  let time = await chainTime()
  client = createClient({ now: () => time })
  await client.fetch(url('/joke'))
  await refuseFirst('channel_expired')
  const [{ expiry = 0n } = {}] = await client.channels()
  time = Number(expiry - 7_201n) * 1_000
  await expect(client.fetch(url('/joke'))).rejects.toThrow(/says that channel .* has expired/)
  time = Number(expiry - 7_200n) * 1_000
  await chain.testClient.setNextBlockTimestamp({ timestamp: expiry - 7_200n })
  const { instead } = provider
  provider.instead = async (request, seen) => {
    if (seen.path !== '/v1/close-channel') return instead(request, seen)
    const { channelId } = JSON.parse(seen.body)
    return Response.json(
      await consent(chain, chain.accounts[1], channelId, provider.books(channelId).charged),
    )
  }
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
})

test('of a refused channel that is nearly used up, nothing is worth closing', async () => {
  provider.pricing = {}
  client = createClient({ limits: { perRequest: '0.1', perChannel: '0.1001' } })
  provider.quote = 99_500n
  await client.fetch(url('/joke'))
  provider.quote = 100n
  await refuseFirst('channel_closing')
  expect((await client.fetch(url('/another'))).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['retired', 'open'])
})

test('a channel that was closed on chain is followed by the next', async () => {
  await client.fetch(url('/joke'))
  const [first] = await client.channels()
  const channelId = first?.channelId ?? '0x'
  const finalAmount = 1_000n
  const { signature: providerSignature } = await consent(chain, chain.accounts[1], channelId, finalAmount)
  const closing = { deployment: chain.deployment, channelId, finalAmount, providerSignature }
  await cooperativeClose(chain.walletClient(chain.accounts[0]), closing)
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
})

test('a provider that waits for confirmations is asked again, for the same amount', async () => {
  let unseen = 3
  provider.instead = (_, { voucher }) =>
    voucher && unseen-- > 0
      ? new Response('', { status: 402, headers: { 'X-DRAIN-Error': 'channel_not_found' } })
      : undefined
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toEqual([1_000n, 1_000n, 1_000n, 1_000n])
  expect(new Set(provider.vouchers().map(({ nonce }) => nonce)).size).toBe(4)
  expect(await client.channels()).toHaveLength(1)
})

test('the caller can stop that waiting', async () => {
  const controller = new AbortController()
  provider.instead = (_, { voucher }) => {
    if (!voucher) return undefined
    controller.abort(new Error('enough'))
    return new Response('', { status: 402, headers: { 'X-DRAIN-Error': 'channel_not_found' } })
  }
  await expect(client.fetch(url('/joke'), { signal: controller.signal })).rejects.toThrow()
  provider.instead = () => undefined
  await client.fetch(url('/joke'))
  expect(amounts().at(-1)).toBeLessThanOrEqual(1_000n)
})

test('a provider that says only what is missing, as the original ones do, is paid', async () => {
  await client.fetch(url('/joke'))
  provider.quote = 2_500n
  provider.instead = (_, { voucher }) => {
    if (voucher?.amount !== 2_000n) return undefined
    const headers = {
      'X-DRAIN-Error': 'insufficient_funds',
      'X-DRAIN-Required': '2500',
      'X-DRAIN-Provided': '1000',
    }
    return new Response('', { status: 402, headers })
  }
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toEqual([1_000n, 2_000n, 3_500n])
})

test('streams: payment events are taken out, comments stay, the receipt is counted', async () => {
  provider.cost = (quote) => quote / 2n
  const response = await client.fetch(url('/stream'))
  expect(await response.text()).toBe(
    'data: {"delta":"Hel"}\n\ndata: {"delta":"lo"}\n\n: X-DRAIN-Cost: 500\n\ndata: [DONE]\n\n',
  )
  expect(await client.spending()).toMatchObject({ charged: '0.0005', signed: '0.001' })
  await client.fetch(url('/stream'))
  expect(amounts()).toEqual([1_000n, 1_500n])
})

test('a stream that nobody has read yet keeps its place', async () => {
  await client.fetch(url('/joke'))
  const open = await client.fetch(url('/stream'))
  await client.fetch(url('/joke'))
  await open.body?.cancel()
  await client.fetch(url('/joke'))
  expect(amounts().slice(0, 3)).toEqual([1_000n, 2_000n, 3_000n])
})

test('a client with the same store goes on where another one stopped', async () => {
  const store = memoryStore()
  const first = createClient({ store })
  await first.fetch(url('/joke'))
  await first.fetch(url('/joke'))
  const before = await chain.publicClient.getBlockNumber()
  const second = createClient({ store })
  expect(await second.channels()).toEqual(await first.channels())
  await second.fetch(url('/joke'))
  await second.fetch(url('/joke'))
  expect(await chain.publicClient.getBlockNumber()).toBe(before)
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n, 4_000n])
  const nonces = provider.vouchers().map(({ nonce }) => nonce)
  expect(nonces).toEqual([...new Set(nonces)].sort((a, b) => (a < b ? -1 : 1)))
})

test('what was under way when a process ended may have been charged', async () => {
  const store = memoryStore()
  const first = createClient({ store })
  await first.fetch(url('/joke'))
  provider.instead = (_, { voucher }) => (voucher ? dropped : undefined)
  await expect(first.fetch(url('/joke'))).rejects.toThrow()
  const [channel] = await createClient({ store }).channels()
  // The lost one is signed and counted nowhere as charged; it is not under way any more either.
  expect(channel).toMatchObject({ signed: '0.002', charged: '0.001', remaining: '0.999' })
  provider.books(channel?.channelId ?? '0x').charged = 2_000n
  provider.books(channel?.channelId ?? '0x').authorized = 2_000n
  provider.instead = () => undefined
  expect((await createClient({ store }).fetch(url('/joke'))).status).toBe(200)
})

test('a store of another chain, contract or consumer is left alone', async () => {
  const store = memoryStore()
  await createClient({ store }).fetch(url('/joke'))
  const other = createClient({ store, walletClient: chain.walletClient(chain.accounts[2]) })
  expect(await other.channels()).toEqual([])
})

test('nothing is sent before it is safe', async () => {
  const store = memoryStore()
  const failing = createClient({ store: { ...store, step: () => Promise.reject(new Error('disk full')) } })
  await expect(failing.fetch(url('/joke'))).rejects.toThrow('disk full')
  expect(provider.vouchers()).toEqual([])
})

test('a wallet that refuses to sign leaves no trace', async () => {
  const account = { ...chain.accounts[0] }
  const walletClient = chain.walletClient(account)
  const refusing = createClient({ walletClient })
  await refusing.fetch(url('/joke'))
  const { sign } = account
  account.sign = () => Promise.reject(new Error('not now'))
  await expect(refusing.fetch(url('/joke'))).rejects.toThrow('not now')
  account.sign = sign
  await refusing.fetch(url('/joke'))
  expect(amounts()).toEqual([1_000n, 2_000n])
})

test('too little USDC: said before anything is approved', async () => {
  const poor = createClient({ walletClient: chain.walletClient(chain.accounts[8] ?? '0x') })
  provider.pricing = { terms: { minDeposit: '10001' } }
  const before = await chain.publicClient.getBlockNumber()
  const limits = { perRequest: '1', perChannel: '20000' }
  const rich = createClient({ walletClient: chain.walletClient(chain.accounts[8] ?? '0x'), limits })
  await expect(rich.fetch(url('/joke'))).rejects.toMatchObject({ code: 'insufficient_balance' })
  await expect(poor.fetch(url('/joke'))).rejects.toMatchObject({ code: 'limit_exceeded' })
  expect(await chain.publicClient.getBlockNumber()).toBe(before)
})

test('openings at several origins at once do not take each other’s allowance', async () => {
  const others = await Promise.all(
    [2, 3].map((index) => startTestProvider(chain, chain.accounts[index] as never)),
  )
  const origins = [provider, ...others].map(({ origin }) => origin)
  const responses = await Promise.all(origins.map((origin) => client.fetch(`${origin}/joke`)))
  expect(responses.map(({ status }) => status)).toEqual([200, 200, 200])
  expect((await client.channels()).map(({ origin }) => origin).sort()).toEqual(origins.sort())
  await Promise.all(others.map((other) => other.close()))
})

test('a refusal for good is an error with the provider’s code', async () => {
  provider.instead = (_, { voucher }) =>
    voucher ? new Response('', { status: 402, headers: { 'X-DRAIN-Error': 'channel_terms' } }) : undefined
  const refused = client.fetch(url('/joke'))
  await expect(refused).rejects.toThrow(PaymentRejectedError)
  await expect(refused).rejects.toMatchObject({ rejection: 'channel_terms' })
  expect(await client.spending()).toMatchObject({ charged: '0', signed: '0.001' })
})
