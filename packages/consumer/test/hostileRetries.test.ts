/** Providers that make the client try again: whatever they answer, no more is signed than for one request. */
import { ChannelGoneError, drainChannelAbi, LimitExceededError, PaymentUnknownError, Usdc } from '@drain/core'
import { beforeEach, expect, test } from 'vitest'
import { type DrainClient, memoryStore, type PaymentScheme } from '../src/index.ts'
import { amounts, chain, createClient, provider, setUp, url } from './fixture.ts'
import { dropped } from './serve.ts'

setUp()

let client: DrainClient
beforeEach(() => {
  provider.pricing = { ...provider.pricing, features: ['idempotency', 'vouchers'] }
  client = createClient()
})

const refusal = (code: string, headers: Record<string, string> = {}) =>
  new Response('', { status: 402, headers: { 'X-DRAIN-Error': code, ...headers } })
const costs = (channelId: string, cost: bigint, total: bigint, more: Record<string, string> = {}) => ({
  'X-DRAIN-Channel': channelId,
  'X-DRAIN-Cost': `${cost}`,
  'X-DRAIN-Total': `${total}`,
  'X-DRAIN-Remaining': '0',
  ...more,
})

/** Answers paid requests only, one after the other; the last one for all that follow. */
function answerPaid(...answers: (() => Response | typeof dropped | undefined)[]): void {
  let count = 0
  provider.instead = (_, { voucher }) =>
    voucher ? answers[Math.min(count++, answers.length - 1)]?.() : undefined
}

test('a corrected price is confirmed anew, and not signed without', async () => {
  const asked: string[] = []
  const asking = createClient({
    limits: {
      perRequest: '0.05',
      perChannel: '5',
      confirm(payment) {
        asked.push(`${payment.kind} ${payment.amount}`)
        return payment.kind === 'deposit' || Usdc.parse(payment.amount) <= 1_000n
      },
    },
  })
  await asking.fetch(url('/joke'))
  provider.quote = 50_000n
  await expect(asking.fetch(url('/joke'))).rejects.toMatchObject({ limit: 'confirm' })
  expect(asked).toEqual(['request 0.001', 'deposit 1', 'request 0.001', 'request 0.05'])
  expect(amounts()).toEqual([1_000n, 2_000n])
  // The place of the refused request is free again.
  provider.quote = 1_000n
  expect((await asking.fetch(url('/joke'), { method: 'POST' })).status).toBe(200)
  expect(amounts().at(-1)).toBe(2_000n)
})

test('a caller that gives up while it is asked to confirm waits no longer', async () => {
  const patience = new AbortController()
  const asking = createClient({
    limits: {
      perRequest: '0.05',
      perChannel: '5',
      confirm({ kind, amount }) {
        if (kind === 'deposit' || amount === '0.001') return true
        setImmediate(() => patience.abort())
        return new Promise(() => {})
      },
    },
  })
  await asking.fetch(url('/joke'))
  provider.quote = 50_000n
  await expect(asking.fetch(url('/joke'), { signal: patience.signal })).rejects.toThrow(/abort/)
  expect(amounts()).toEqual([1_000n, 2_000n])
  expect((await asking.channels())[0]?.remaining).toBe('0.999')
})

test('a price that what is left of a channel doesn’t hold: it is closed before the next is opened', async () => {
  const small = createClient({ limits: { perRequest: '0.3', perChannel: '0.5' } })
  await small.fetch(url('/joke'))
  // Charged for, as it says, but never answered: all that can have been is 0.3.
  provider.quote = 300_000n
  answerPaid(
    () => new Response('sorry', { status: 500 }),
    () => undefined,
  )
  await small.fetch(url('/another'))
  const [{ channelId = '0x' } = {}] = await small.channels()
  provider.books(channelId as `0x${string}`).charged += 300_000n
  answerPaid(() => undefined)
  expect((await small.fetch(url('/another'))).status).toBe(200)
  expect((await small.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
  expect((await small.spending()).charged).toBe('0.601')
})

/** Lets a request run on a channel, which then is too small for the next one. */
async function slowThenDearer(small: DrainClient) {
  await small.fetch(url('/joke'))
  provider.quote = 250_000n
  let finish = () => {}
  provider.work = () => new Promise((resolve) => (finish = resolve))
  const slow = small.fetch(url('/slow'))
  await expect.poll(() => amounts()).toContain(251_000n)
  provider.work = async () => {}
  provider.quote = 300_000n
  return { slow, finish: () => finish() }
}

test('a channel with requests under way is not closed for what its provider asks of another one', async () => {
  const small = createClient({ limits: { perRequest: '0.3', perChannel: '0.5' } })
  const { slow, finish } = await slowThenDearer(small)
  expect((await small.fetch(url('/joke'))).status).toBe(200)
  expect((await small.channels()).map(({ state }) => state)).toEqual(['retired', 'open'])
  expect(provider.seen.some(({ path }) => path === '/v1/close-channel')).toBe(false)
  finish()
  expect((await slow).status).toBe(200)
})

test('an opening in advance that finds a channel closed for more than was charged: the next request says so, once', async () => {
  const limits = { perRequest: '0.3', perChannel: '0.5', perProvider: '5', perDay: '5' }
  const small = createClient({ limits })
  const { slow, finish } = await slowThenDearer(small)
  // The next channel opens beside one that is refused and still serves.
  await small.fetch(url('/joke'))
  provider.cost = () => 0n
  finish()
  await slow
  const last = provider.vouchers().find(({ amount }) => amount === 251_000n)
  if (!last) throw new Error('no voucher')
  await chain.walletClient(provider.account).writeContract({
    ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'claimAndClose' },
    args: [last.channelId, last.amount, last.nonce, last.amount, last.signature],
  })
  // So little is left that another one is to be opened, after the refused one is closed.
  provider.quote = 190_000n
  expect((await small.fetch(url('/large'))).status).toBe(200)
  provider.quote = 0n
  const next = () => small.fetch(url('/free of charge')).then(String, ({ name }) => name)
  await expect.poll(next).toBe('UntrustedProviderError')
  expect((await small.fetch(url('/free of charge'))).status).toBe(200)
})

test('only who is on the list is paid, and the rest is said by events', async () => {
  const refused: unknown[] = []
  const choosy = createClient({
    limits: { perRequest: '0.05', perChannel: '5', providers: ['https://elsewhere.example'] },
  })
  choosy.on('refused', ({ error }) => refused.push(error))
  await expect(choosy.fetch(url('/joke'))).rejects.toMatchObject({ limit: 'providers' })
  expect(refused).toHaveLength(1)
  expect(refused[0]).toBeInstanceOf(LimitExceededError)
  expect(await choosy.channels()).toEqual([])
  for (const providers of [[provider.origin], [provider.account.address]]) {
    const known = createClient({ limits: { perRequest: '0.05', perChannel: '5', providers } })
    expect((await known.fetch(url('/joke'))).status).toBe(200)
  }
  expect(() =>
    createClient({ limits: { perRequest: '1', perChannel: '5', providers: ['example'] } }),
  ).toThrow(expect.objectContaining({ code: 'limits_invalid' }))
})

test('an answer that is lost twice costs one price, and says under which key', async () => {
  await client.fetch(url('/joke'))
  answerPaid(() => dropped)
  const error = await client.fetch(url('/joke')).catch((error) => error)
  expect(error).toBeInstanceOf(PaymentUnknownError)
  expect(error.idempotencyKey).toMatch(/^[0-9a-f-]{36}$/)
  expect(amounts()).toEqual([1_000n, 2_000n, 2_000n])
})

test('a lost answer is not asked for again where the provider keeps none', async () => {
  provider.pricing = {}
  const careful = createClient()
  await careful.fetch(url('/joke'))
  answerPaid(() => dropped)
  await expect(careful.fetch(url('/joke'))).rejects.toThrow(PaymentUnknownError)
  expect(amounts()).toEqual([1_000n, 2_000n])
})

test('after a lost answer, a repeat with a huge total is believed up to the price', async () => {
  await client.fetch(url('/joke'))
  const [{ channelId = '' } = {}] = await client.channels()
  const replayed = { 'Idempotency-Replayed': 'true' }
  answerPaid(
    () => dropped,
    () => new Response('old', { headers: costs(channelId, 0n, 4_000_000n, replayed) }),
  )
  expect(await (await client.fetch(url('/joke'))).text()).toBe('old')
  expect((await client.spending()).charged).toBe('0.002')
  expect((await client.spending()).signed).toBe('0.002')
})

test('in flight for ever after a lost answer: ends with the caller’s patience, one price signed', async () => {
  await client.fetch(url('/joke'))
  const inFlight = () =>
    new Response('', { status: 409, headers: { 'X-DRAIN-Error': 'idempotency_in_flight' } })
  answerPaid(() => dropped, inFlight)
  const patience = new AbortController()
  const { signal } = patience
  const waiting = client.fetch(url('/joke'), { signal })
  await expect.poll(() => amounts().length).toBeGreaterThanOrEqual(4)
  patience.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  expect(new Set(amounts())).toEqual(new Set([1_000n, 2_000n]))
  const after = amounts().length
  answerPaid(() => undefined)
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toHaveLength(after + 1)
})

test.each(['invalid_nonce', 'invalid_signature', 'wrong_provider', 'exceeds_deposit', 'channel_terms'])(
  '%s in a loop ends, with the same amount each time',
  async (code) => {
    await client.fetch(url('/joke'))
    answerPaid(() => refusal(code))
    await expect(client.fetch(url('/joke'))).rejects.toMatchObject({
      code: 'payment_rejected',
      rejection: code,
    })
    expect(new Set(amounts())).toEqual(new Set([1_000n, 2_000n]))
    expect(amounts().length).toBeLessThanOrEqual(3)
    expect((await client.spending()).signed).toBe('0.002')
  },
)

test.each([
  ['right', 0],
  ['a day behind', -86_400_000],
])(
  'channel_not_found for ever on a fresh channel ends, and names the channel; clock: %s',
  async (_, ahead) => {
    let time = Number((await chain.publicClient.getBlock()).timestamp) * 1_000 + ahead
    const slow = createClient({ now: () => time })
    answerPaid(() => {
      time += 30_000
      return refusal('channel_not_found')
    })
    const error = await slow.fetch(url('/joke')).catch((error) => error)
    expect(error).toBeInstanceOf(ChannelGoneError)
    const [{ channelId = '' } = {}] = await slow.channels()
    expect(error.channelId).toBe(channelId)
    expect(new Set(amounts())).toEqual(new Set([1_000n]))
  },
)

test('headers of the two families that contradict each other: the smaller harm is done', async () => {
  await client.fetch(url('/joke'))
  const [{ channelId = '' } = {}] = await client.channels()
  answerPaid(
    () =>
      new Response('ok', {
        headers: costs(channelId, 1_000n, 2_000n, {
          'X-Payment-Cost': '4000000',
          'X-Payment-Total': '4000000',
        }),
      }),
  )
  await client.fetch(url('/joke'))
  expect((await client.spending()).charged).toBe('0.002')
  answerPaid(() =>
    refusal('insufficient_funds', { 'X-DRAIN-Required': '1000', 'X-Payment-Required': '4000000' }),
  )
  await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ rejection: 'insufficient_funds' })
  expect((await client.spending()).signed).toBe('0.003')
})

test('a price of nothing costs nothing', async () => {
  provider.quote = 0n
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(amounts()).toEqual([0n])
})

test('a provider that closes by itself and says so: the next deposit stays within its limit', async () => {
  await client.fetch(url('/joke'))
  const [{ channelId = '0x' } = {}] = await client.channels()
  const [voucher] = provider.vouchers()
  if (!voucher) throw new Error('no voucher')
  await chain.walletClient(provider.account).writeContract({
    address: chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'claimAndClose',
    args: [channelId as `0x${string}`, voucher.amount, voucher.nonce, voucher.amount, voucher.signature],
  })
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
})

test('another scheme: paid once within the limits, and a second 402 is not paid', async () => {
  const sent: string[] = []
  const coin = (amount: bigint): PaymentScheme => ({
    name: 'coin',
    readOffer: (response) =>
      response.headers.get('X-Coin')
        ? {
            amount,
            payee: 'coin:shop',
            async pay(request, fetch) {
              sent.push(request.url.pathname)
              const headers = new Headers(request.headers)
              headers.set('X-Coin', 'paid')
              return {
                response: await fetch(request.url.href, request.init({ headers, redirect: 'manual' })),
              }
            },
          }
        : undefined,
  })
  provider.instead = (request, { path }) => {
    if (path !== '/coin') return undefined
    if (request.headers.get('X-Coin') === 'paid' && sent.length < 2) return new Response('thanks')
    return new Response('', { status: 402, headers: { 'X-Coin': 'please' } })
  }
  const paying = createClient({ schemes: [coin(3_000n)] })
  expect(await (await paying.fetch(url('/coin'))).text()).toBe('thanks')
  expect(await paying.spending()).toMatchObject({ charged: '0.003', today: '0.003', locked: '0' })
  await expect(paying.fetch(url('/coin'))).rejects.toMatchObject({ rejection: 'payment_refused' })
  expect(sent).toEqual(['/coin', '/coin'])
  const greedy = createClient({ schemes: [coin(50_001n)] })
  await expect(greedy.fetch(url('/coin'))).rejects.toMatchObject({ limit: 'perRequest' })
  const day = createClient({
    limits: { perRequest: '0.05', perChannel: '5', perDay: '0.002' },
    schemes: [coin(3_000n)],
  })
  await expect(day.fetch(url('/coin'))).rejects.toMatchObject({ limit: 'perDay' })
  expect(sent).toHaveLength(2)
  // Without the scheme, the 402 is the caller's.
  expect((await client.fetch(url('/coin'))).status).toBe(402)
})

test('a channel near its expiry is told, once', async () => {
  const store = memoryStore()
  const told: string[] = []
  const watch = (now: () => number) => {
    const watching = createClient({ store, now })
    watching.on('expiring', ({ remaining }) => told.push(remaining))
    const unheard = watching.on('expiring', () => told.push('never'))
    unheard()
    return watching
  }
  const time = Number((await chain.publicClient.getBlock()).timestamp) * 1_000
  const early = watch(() => time)
  await early.fetch(url('/joke'))
  expect(told).toEqual([])
  const [{ expiry = 0n } = {}] = await early.channels()
  // Providers stop serving it an hour before; it is told two hours before.
  const late = watch(() => Number(expiry - 7_200n) * 1_000)
  await late.fetch(url('/joke'))
  await late.fetch(url('/joke'))
  expect(told).toEqual(['0.999'])
  // After a restart a look at the channels is enough.
  await watch(() => Number(expiry - 7_200n) * 1_000).channels()
  expect(told).toEqual(['0.999', '0.997'])
})
