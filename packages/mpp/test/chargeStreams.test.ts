/** Streams paid by a charge: paid whole before their first event, so that all of it is there for whoever has paid. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { evmCharge } from '@drain/mpp/server'
import { type Payment, sse } from '@drain/provider'
import { paid, send } from '@drain/provider/express'
import { sqliteLedger } from '@drain/provider/sqlite'
import express from 'express'
import { describe, expect, test } from 'vitest'
import { listening } from '../../provider/test/apps.ts'
import { createUpstream, readEvents, type Upstream } from '../../provider/test/streamTools.ts'
import { cheapGas } from './charging.ts'
import {
  answerTo,
  earned,
  fixture,
  type Init,
  paywall,
  price,
  ask as request,
  under,
} from './sellingCharges.ts'

const [first, second] = [
  { data: '"one"', cost: 5_000n },
  { data: '"two"', cost: 10_000n },
]
/** What the next stream is made of, and how many were begun. */
let upstream: Upstream
let works = 0

function work(payment: Payment): Response {
  works += 1
  return sse(payment, upstream)
}

const ask = (init: Init = {}, at = paywall) => request('/stream', work, init, at)
const credential = async (at = paywall) => answerTo(await ask({}, at))

/** A stream that has sent its first event, and how its client reads it. */
async function begin(Authorization: string, key?: string, at = paywall) {
  upstream = createUpstream()
  upstream.push(first)
  const stream = readEvents(await ask(under(Authorization, key), at))
  expect((await stream.next())?.data).toBe('one')
  return stream
}

/** What a retry is answered once the work is done. */
async function retried(Authorization: string, key: string, at = paywall): Promise<Response> {
  let response = await ask(under(Authorization, key), at)
  await expect
    .poll(async () => {
      if (response.status === 409) response = await ask(under(Authorization, key), at)
      return response.status
    })
    .not.toBe(409)
  return response
}

async function expectWhole(again: Response): Promise<void> {
  expect([again.status, again.headers.get('Idempotency-Replayed')]).toEqual([200, 'true'])
  const [one, two, receipt] = await readEvents(again).rest()
  expect([one?.data, two?.data]).toEqual(['one', 'two'])
  const data = { ended: 'complete', method: 'evm', amount: String(price), cost: String(price) }
  expect(receipt).toMatchObject({ event: 'payment-receipt', data })
}

test('under a key a stream is given again, to the same credential and to a fresh one, for nothing', async () => {
  const [before, worked] = [await earned(), works]
  const own = await credential()
  const stream = await begin(own, 'again')
  expect((await ask(under(own, 'again'))).status).toBe(409)
  upstream.push(second)
  upstream.end()
  await stream.rest()
  for (const one of [own, await credential()]) await expectWhole(await ask(under(one, 'again')))
  expect([works - worked, (await earned()) - before]).toEqual([1, price])
})

test('under a key a stream whose payment is being mined is waited for, not called lost', async () => {
  const { testClient } = fixture.chain
  const [before, worked] = [await earned(), works]
  const own = await credential()
  upstream = createUpstream()
  upstream.push(first)
  await testClient.setAutomine(false)
  try {
    const streaming = ask(under(own, 'mining')).then((response) => response.text())
    await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
    const retry = ask(under(own, 'mining'))
    await testClient.mine({ blocks: 1 })
    const again = await retry
    expect([again.status, again.headers.has('Payment-Receipt')]).toEqual([409, false])
    upstream.push(second)
    upstream.end()
    expect(await streaming).toContain('two')
  } finally {
    await testClient.setAutomine(true)
  }
  await expectWhole(await ask(under(own, 'mining')))
  expect([works - worked, (await earned()) - before]).toEqual([1, price])
})

describe('a client that goes away in the middle of a stream', () => {
  test('gets all of it under its key, once the work is done', async () => {
    const [before, worked] = [await earned(), works]
    const own = await credential()
    const stream = await begin(own, 'dropped')
    stream.cancel()
    expect((await ask(under(own, 'dropped'))).status).toBe(409)
    upstream.push(second)
    upstream.end()
    await expectWhole(await retried(own, 'dropped'))
    expect(upstream.isStopped).toBe(false)
    expect([works - worked, (await earned()) - before]).toEqual([1, price])
  })

  test('gets it also where its payment is still being mined', async () => {
    const { testClient } = fixture.chain
    const before = await earned()
    const own = await credential()
    upstream = createUpstream()
    upstream.push(first)
    await testClient.setAutomine(false)
    try {
      const stream = readEvents(await ask(under(own, 'early')))
      const arriving = stream.next()
      await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
      stream.cancel()
      await arriving
      await testClient.mine({ blocks: 1 })
    } finally {
      await testClient.setAutomine(true)
    }
    upstream.push(second)
    upstream.end()
    await expectWhole(await retried(own, 'early'))
    expect((await earned()) - before).toBe(price)
  })

  test('gets it from a server of Node too', async () => {
    const app = express()
    let signal: AbortSignal | undefined
    let closed: Promise<unknown> | undefined
    app.get('/stream', paid(paywall, '0.02'), (_, res) => {
      signal = res.locals.payment.signal
      closed = once(res, 'close')
      return send(res, work(res.locals.payment))
    })
    const server = await listening(createServer(app))
    const url = `${server.origin}/stream`
    try {
      const own = await answerTo(await fetch(url))
      upstream = createUpstream()
      upstream.push(first)
      const connection = new AbortController()
      const stream = readEvents(await fetch(url, { ...under(own, 'node'), signal: connection.signal }))
      expect((await stream.next())?.data).toBe('one')
      connection.abort()
      await closed
      upstream.push(second)
      await expect.poll(() => upstream.taken).toBe(2)
      expect((await fetch(url, under(own, 'node'))).status).toBe(409)
      upstream.end()
      await expect.poll(async () => (await fetch(url, under(own, 'node'))).status).toBe(200)
      await expectWhole(await fetch(url, under(own, 'node')))
      expect(signal?.aborted).toBe(false)
    } finally {
      await server.close()
    }
  })

  test('has paid nothing, and may come again, where nothing was sent yet', async () => {
    const before = await earned()
    const own = await credential()
    upstream = createUpstream()
    await readEvents(await ask(under(own, 'none'))).cancel()
    expect(upstream.isStopped).toBe(true)
    expect(await earned()).toBe(before)
    const stream = await begin(own, 'none')
    upstream.end()
    expect(JSON.stringify(await stream.rest())).toContain('complete')
  })

  test('ends it where no key would give it again', async () => {
    await (await begin(await credential())).cancel()
    expect(upstream.isStopped).toBe(true)
  })

  test('is read on for while a closing server ends the streams that are read', async () => {
    const path = join(fixture.folder, 'closing.db')
    const open = async () => {
      const ledger = sqliteLedger(path, { log: () => {} })
      const at = fixture.paywall({ schemes: [evmCharge(cheapGas)], graceMs: 0, ledger })
      await at.ready()
      return at
    }
    const at = await open()
    const own = await credential(at)
    ;(await begin(own, 'closing', at)).cancel()
    const unread = upstream
    const read = await begin(await credential(at), undefined, at)
    const closed = at.close()
    expect((await read.rest()).at(0)).toMatchObject({ data: { ended: 'closed' } })
    unread.push(second)
    unread.end()
    await closed
    await expectWhole(await ask(under(own, 'closing'), await open()))
  })

  test('ends it where it becomes too long to be kept, and is told so, with the receipt', async () => {
    const at = fixture.paywall({ schemes: [evmCharge(cheapGas)], idempotency: { maxAnswerBytes: 1_000 } })
    await at.ready()
    const [before, worked] = [await earned(), works]
    const own = await credential(at)
    const stream = await begin(own, 'long', at)
    const cancelled = stream.cancel()
    upstream.push({ data: 'x'.repeat(500), cost: 6_000n }, { data: 'x'.repeat(500), cost: 7_000n })
    await cancelled
    expect(upstream.isStopped).toBe(true)
    const again = await ask(under(own, 'long'), at)
    expect([again.status, again.headers.get('Payment-Receipt')]).toEqual([422, expect.any(String)])
    expect([works - worked, (await earned()) - before]).toEqual([1, price])
  })
})
