/** Charges over HTTP: what is answered is answered once for one payment, and what is refused says how to pay. */
import { evmCharge } from '@drain/mpp/server'
import { type Paywall, sse } from '@drain/provider'
import type { Address, Hex, LocalAccount } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { challengeNonce, type SignedAuthorization, toPayload } from '../src/authorization.ts'
import { type Challenge, parseChallenges } from '../src/codec/challenge.ts'
import { serializeCredential } from '../src/codec/credential.ts'
import { authorize, cheapGas, moveUsdc } from './charging.ts'

let fixture: Fixture
let paywall: Paywall
let works = 0
let whileWorking = async () => {}

const price = 20_000n

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ schemes: [evmCharge(cheapGas)] })
  await paywall.ready()
})
afterAll(() => fixture?.close())

type Init = RequestInit & { duplex?: 'half' }

function ask(path: string, init: Init = {}): Promise<Response> {
  return paywall.handle(new Request(`http://127.0.0.1:1${path}`, init), price, async (payment) => {
    works += 1
    await whileWorking()
    if (path === '/long') return new Response('x'.repeat(300_000))
    if (path !== '/stream') return new Response(`work ${works}`)
    return sse(
      payment,
      (async function* () {
        for (const cost of [5_000n, 10_000n]) {
          yield { data: `at ${cost}`, cost }
          if (cost === 5_000n) await whileStreaming()
        }
      })(),
    )
  })
}
let whileStreaming = async () => {}

function challengeIn(response: Response): Challenge {
  const [challenge] = parseChallenges(response.headers.get('WWW-Authenticate'))
  if (!challenge) throw new Error('no challenge')
  return challenge
}

async function credentialFor(
  path: string,
  changes: Parameters<typeof authorize>[2] & { change?: Partial<SignedAuthorization> } = {},
): Promise<string> {
  const { change, ...signed } = changes
  const challenge = challengeIn(await ask(path))
  const authorization = await authorize(fixture, price, { nonce: challengeNonce(challenge), ...signed })
  return serializeCredential({ challenge, payload: toPayload({ ...authorization, ...change }) })
}

const under = (Authorization: string, key?: string) => ({
  headers: { Authorization, ...(key && { 'Idempotency-Key': key }) },
})

const earned = () => fixture.balance(fixture.provider.address)

const move = (from: LocalAccount, to: Address) => moveUsdc(fixture, from, to)

/** Lets a payer move its money away while work is done for it. */
async function withoutMoney(work: (thief: LocalAccount) => Promise<Response>): Promise<Response> {
  const thief = fixture.chain.accounts[7] as LocalAccount
  const credit = await work(thief)
  whileWorking = async () => {}
  await move(fixture.stranger, thief.address)
  return credit
}

test('under a key a stream is given again, to the same credential and to a fresh one, for nothing', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/stream')
  let during: Response | undefined
  whileStreaming = async () => {
    during ??= await ask('/stream', under(credential, 'stream'))
  }
  const first = await (await ask('/stream', under(credential, 'stream'))).text()
  expect(during?.status).toBe(409)
  expect(first).toContain('at 10000')
  for (const one of [credential, await credentialFor('/stream')]) {
    const again = await ask('/stream', under(one, 'stream'))
    expect([again.status, again.headers.get('Idempotency-Replayed')]).toEqual([200, 'true'])
    const text = await again.text()
    expect([text.includes('at 5000'), text.includes('at 10000')]).toEqual([true, true])
  }
  expect([works - worked, (await earned()) - before]).toEqual([1, price])
})

test('under a key a stream whose payment is being mined is waited for, not called lost', async () => {
  const { testClient } = fixture.chain
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/stream')
  let goOn = () => {}
  const asked = new Promise<void>((resolve) => {
    goOn = resolve
  })
  whileStreaming = () => asked
  await testClient.setAutomine(false)
  try {
    const streaming = ask('/stream', under(credential, 'mining')).then((response) => response.text())
    await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
    const retry = ask('/stream', under(credential, 'mining'))
    await testClient.mine({ blocks: 1 })
    const again = await retry
    expect([again.status, again.headers.has('Payment-Receipt')]).toEqual([409, false])
    goOn()
    expect(await streaming).toContain('at 10000')
  } finally {
    goOn()
    await testClient.setAutomine(true)
  }
  expect((await ask('/stream', under(credential, 'mining'))).headers.get('Idempotency-Replayed')).toBe('true')
  expect([works - worked, (await earned()) - before]).toEqual([1, price])
})

test('under a key an answer that is too long to be kept is neither given nor charged again', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/long')
  expect((await (await ask('/long', under(credential, 'long'))).text()).length).toBe(300_000)
  for (const one of [credential, await credentialFor('/long')]) {
    const again = await ask('/long', under(one, 'long'))
    expect([again.status, again.headers.get('Payment-Receipt')]).toEqual([422, expect.any(String)])
    expect(await again.text()).toContain('its answer is not kept')
  }
  expect([works - worked, (await earned()) - before]).toEqual([1, price])
})

test('an authorization that ends soon is refused before the work, with a fresh challenge', async () => {
  const worked = works
  const refused = await ask('/', under(await credentialFor('/', { validBefore: paywall.now() + 50n })))
  expect(refused.status).toBe(402)
  expect(await refused.json()).toMatchObject({ type: expect.stringContaining('payment-expired') })
  expect(challengeIn(refused).method).toBe('evm')
  expect(works).toBe(worked)
})

test('a payer whose money is gone after the work is told how to pay, also in a stream', async () => {
  const refused = await withoutMoney(async (thief) => {
    const credential = await credentialFor('/', { signer: thief })
    whileWorking = () => move(thief, fixture.stranger.address)
    return ask('/', under(credential))
  })
  expect(refused.status).toBe(402)
  expect(challengeIn(refused).method).toBe('evm')
  const stream = await withoutMoney(async (thief) => {
    const credential = await credentialFor('/stream', { signer: thief })
    whileWorking = () => move(thief, fixture.stranger.address)
    const response = await ask('/stream', under(credential))
    return new Response(await response.text())
  })
  const text = await stream.text()
  expect(text).not.toContain('at 5000')
  expect(text).toContain('insufficient_funds')
})

test('a HEAD takes no charge', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/')
  expect((await ask('/', { method: 'HEAD', ...under(credential) })).status).toBe(402)
  expect([works, await earned()]).toEqual([worked, before])
  expect((await ask('/', under(credential))).status).toBe(200)
})

test('the body of a request with a key is read once its signature is known to be good', async () => {
  let isRead = false
  const body = () =>
    new ReadableStream(
      {
        pull(controller) {
          isRead = true
          controller.enqueue(new TextEncoder().encode('question'))
          controller.close()
        },
      },
      { highWaterMark: 0 },
    )
  const forged = await credentialFor('/', {
    change: { from: fixture.stranger.address.toLowerCase() as Hex },
  })
  const post = (Authorization: string) =>
    ask('/', { method: 'POST', body: body(), duplex: 'half', ...under(Authorization, 'post') })
  const refused = await post(forged)
  expect(refused.status).toBe(402)
  expect(isRead).toBe(false)
  expect((await post(await credentialFor('/'))).status).toBe(200)
  expect(isRead).toBe(true)
})

test('challenges that no authorization can answer are not configured', () => {
  for (const lifeMs of [60_000, 3_600_000, Number.NaN])
    expect(() => fixture.paywall({ schemes: [evmCharge({ ...cheapGas, lifeMs })] })).toThrow(/lifeMs/)
})
