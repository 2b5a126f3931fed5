/** Answers that don't reach the caller, and books that can't be written: nothing leaks, and nothing is paid twice. */
import { Usdc } from '@drain/core'
import { beforeEach, expect, test } from 'vitest'
import { memoryStore } from '../src/index.ts'
import { chain, createClient, provider, setUp, url } from './fixture.ts'
import { dropped } from './serve.ts'
import { consent } from './TestProvider.ts'

setUp()

beforeEach(() => {
  provider.pricing = { ...provider.pricing, features: ['idempotency'] }
})

/** A store whose steps can be watched, and made to fail. */
function watchedStore() {
  const inner = memoryStore()
  const watched = { failures: 0, onStep: () => {} }
  const store: typeof inner = {
    ...inner,
    async step(since, decide) {
      if (watched.failures > 0) {
        watched.failures--
        throw new Error('the disk is busy')
      }
      const revision = await inner.step(since, decide)
      watched.onStep()
      return revision
    },
  }
  return { store, watched }
}

test('callers that give up while their answer is in flight leave no place taken, and no more than is believed', async () => {
  const client = createClient({ limits: { perRequest: '0.001', perChannel: '5', undelivered: '0.003' } })
  await client.fetch(url('/joke'))
  const tries = new Map<string, number>()
  let patience = new AbortController()
  provider.instead = (request, { voucher }) => {
    if (!voucher) return undefined
    const key = request.headers.get('Idempotency-Key') ?? ''
    tries.set(key, (tries.get(key) ?? 0) + 1)
    if (tries.get(key) === 1) return dropped
    // By now the client waits to ask again.
    setImmediate(() => patience.abort())
    return new Response('', { status: 409, headers: { 'X-DRAIN-Error': 'idempotency_in_flight' } })
  }
  for (let index = 0; index < 6; index++) {
    patience = new AbortController()
    await expect(client.fetch(url('/joke'), { signal: patience.signal })).rejects.toThrow(/abort/)
  }
  expect((await client.spending()).signed).toBe('0.002')
  expect((await client.channels())[0]?.remaining).toBe('0.999')
})

test('a lost answer that its caller no longer waits for may have been charged', async () => {
  const { store, watched } = watchedStore()
  const patience = new AbortController()
  const client = createClient({ store })
  await client.fetch(url('/joke'))
  let isFirst = true
  provider.instead = (_, { voucher }) => {
    if (!voucher || !isFirst) return undefined
    isFirst = false
    provider.books(voucher.channelId).charged += 1_000n
    // The caller gives up while the next attempt is written down: after the first was lost, before the next is sent.
    watched.onStep = () => patience.abort()
    return dropped
  }
  await expect(client.fetch(url('/joke'), { signal: patience.signal })).rejects.toThrow(/abort/)
  // The honest provider's next demand is believed.
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.spending()).charged).toBe('0.003')
})

test('a store that fails while an answer is written down: the answer arrives, and is written with the next step', async () => {
  const { store, watched } = watchedStore()
  const client = createClient({ store })
  const costs: string[] = []
  client.on('paid', ({ cost }) => costs.push(cost))
  await client.fetch(url('/joke'))
  provider.work = async () => {
    watched.failures = 1
  }
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(watched.failures).toBe(0)
  expect(await client.channels()).toMatchObject([{ charged: '0.002', remaining: '0.998' }])
  expect(await client.spending()).toMatchObject({ signed: '0.002', charged: '0.002' })
  expect(costs).toEqual(['0.001', '0.001'])
})

test('what a store failed to take is written before its client stops', async () => {
  const { store, watched } = watchedStore()
  // Another client goes on with it.
  store.close = async () => {}
  const client = createClient({ store })
  await client.fetch(url('/joke'))
  provider.work = async () => {
    watched.failures = 1
  }
  await client.fetch(url('/joke'))
  await client.stop()
  expect(await createClient({ store }).spending()).toMatchObject({ signed: '0.002', charged: '0.002' })
})

test('a store that fails for one request loses no other’s answer', async () => {
  const { store, watched } = watchedStore()
  const client = createClient({ store })
  await client.fetch(url('/joke'))
  provider.work = async () => {
    provider.work = async () => {}
    watched.failures = 1
    await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ code: 'store_unavailable' })
  }
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(await client.channels()).toMatchObject([{ charged: '0.002', remaining: '0.998' }])
})

test('a stream that is read after its client was stopped is read to its end', async () => {
  const { store, watched } = watchedStore()
  const client = createClient({ store })
  await client.fetch(url('/joke'))
  const stream = await client.fetch(url('/stream'))
  await client.stop()
  watched.failures = Number.POSITIVE_INFINITY
  expect(await stream.text()).toContain('[DONE]')
})

test('a process that died with requests under way: what they cost is settled with their channel, and the next begins', async () => {
  let time = Date.now()
  const options = { store: memoryStore(), limits: { perRequest: '0.001', perChannel: '1' }, now: () => time }
  await createClient(options).fetch(url('/joke'))
  let charged = 0
  const dying = createClient({
    ...options,
    async fetch(input, init) {
      const response = await fetch(input, init)
      if (response.headers.has('X-DRAIN-Cost')) {
        charged++
        await new Promise(() => {})
      }
      return response
    },
  })
  for (let index = 0; index < 10; index++) dying.fetch(url('/joke')).catch(() => {})
  await expect.poll(() => charged).toBe(10)
  time += 301_000
  provider.instead = async (_, { path, body }) => {
    if (path !== '/v1/close-channel') return undefined
    const { channelId } = JSON.parse(body)
    return Response.json(await consent(chain, provider.account, channelId, provider.books(channelId).charged))
  }
  const client = createClient(options)
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  const [first, second] = await client.channels()
  expect([first?.state, second?.state]).toEqual(['closed', 'open'])
  expect((await client.spending()).charged).toBe('0.012')
  expect(Usdc.format(provider.charged())).toBe('0.012')
})
