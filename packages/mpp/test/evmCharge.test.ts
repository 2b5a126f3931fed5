/** `evm`/`charge` end to end: mppx's own client and server as published, our paywall and client, the real token. */
import type { AddressInfo } from 'node:net'
import { createDrainClient } from '@drain/consumer'
import { LimitExceededError } from '@drain/core'
import { evmCharge as payCharges } from '@drain/mpp/client'
import { charge, drainSession, evmCharge } from '@drain/mpp/server'
import { type Paywall, sse } from '@drain/provider'
import { paid } from '@drain/provider/express'
import express from 'express'
import { Challenge, Credential, evm as evmTypes, Receipt } from 'mppx'
import { evm, Mppx } from 'mppx/client'
import { Mppx as MppxServer } from 'mppx/server'
import { erc20Abi, type Hex, type LocalAccount } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serve } from '../../consumer/test/serve.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { cheapGas } from './charging.ts'

let fixture: Fixture
let paywall: Paywall
let server: Awaited<ReturnType<typeof serve>>
let works = 0
/** What the next work answers. */
let status = 200
let whileWorking = async () => {}
/** What a stream waits for after its first event. */
let afterFirst = Promise.resolve()

const price = 20_000n

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ schemes: [evmCharge(cheapGas)] })
  await paywall.ready()
  server = await serve((request) => {
    const { pathname } = new URL(request.url)
    const quote = pathname === '/dear' ? 2n * price : price
    return paywall.handle(request, quote, async (payment) => {
      works += 1
      await whileWorking()
      if (pathname === '/stream') {
        return sse(
          payment,
          (async function* () {
            yield { data: 'at 5000', cost: 5_000n }
            await afterFirst
            yield { data: 'at 10000', cost: 10_000n }
          })(),
        )
      }
      return new Response(`work ${works}`, { status })
    })
  })
})
afterAll(async () => {
  await server?.close()
  await fixture?.close()
})

test('a server without the key takes channels, and refuses to be made for charges', () => {
  const keyless = { account: fixture.provider.address, settle: false } as const
  const elsewhere = expect.objectContaining({ code: 'key_elsewhere' })
  expect(() => fixture.paywall({ ...keyless, schemes: [evmCharge(cheapGas)] })).toThrow(elsewhere)
  const paywall = fixture.paywall({ ...keyless, schemes: [drainSession()] })
  expect(() => charge({ ...cheapGas, paywall, tokenDomain: { name: 'USD Coin', version: '2' } })).toThrow(
    elsewhere,
  )
})

const asset = () =>
  evmTypes.assets.define({
    address: fixture.chain.deployment.token,
    decimals: 6,
    network: `eip155:${fixture.chain.chainId}`,
    transfer: { type: 'eip3009', name: 'USD Coin', version: '2' },
  })

function stockClient(account: LocalAccount = fixture.consumer) {
  const method = evm.charge({
    ...{ account, currencies: [asset()], networks: [fixture.chain.chainId], maxAmount: '0.1' },
  })
  return Mppx.create({ methods: [method], polyfill: false })
}

const earned = () => fixture.balance(fixture.provider.address)

/** A credential for a route, made by mppx's own client. */
async function credentialFor(path: string, account?: LocalAccount): Promise<string> {
  const asked = await fetch(server.origin + path)
  expect(asked.status).toBe(402)
  return stockClient(account).createCredential(asked)
}

const paidWith = (credential: string, path = '/', headers: Record<string, string> = {}) =>
  fetch(server.origin + path, { headers: { Authorization: credential, ...headers } })

test('mppx’s own client pays our route', async () => {
  const [before, worked] = [await earned(), works]
  const response = await stockClient().fetch(server.origin)
  expect(response.status).toBe(200)
  expect(await response.text()).toBe(`work ${worked + 1}`)
  const receipt = Receipt.fromResponse(response)
  expect(receipt).toMatchObject({ method: 'evm', status: 'success', amount: String(price) })
  const mined = await fixture.chain.publicClient.getTransactionReceipt({ hash: receipt.reference as Hex })
  expect(mined.status).toBe('success')
  expect(await earned()).toBe(before + price)
  expect(works).toBe(worked + 1)
})

test('a 402 offers what mppx’s own client says that it takes, and nothing else', async () => {
  const both = fixture.paywall({ schemes: [drainSession(), evmCharge(cheapGas)] })
  await both.ready()
  const seen: unknown[] = []
  const shop = await serve(async (request) => {
    const response = await both.handle(request, price, () => new Response('work'))
    const challenges = response.status === 402 ? Challenge.fromResponseList(response) : []
    seen.push([request.headers.get('Accept-Payment'), ...challenges.map(({ method }) => method)])
    return response
  })
  expect((await stockClient().fetch(shop.origin)).status).toBe(200)
  await fetch(shop.origin)
  expect(seen).toEqual([['evm/charge', 'evm'], ['evm/charge'], [null, 'drain', 'evm']])
  await shop.close()
})

test('challenges are another each time, and good for their price and server only', async () => {
  const asked = await Promise.all([fetch(server.origin), fetch(server.origin)])
  const [one, two] = asked.map((response) => Challenge.fromResponse(response))
  expect(one?.id).not.toBe(two?.id)
  expect(one).toMatchObject({ method: 'evm', intent: 'charge', realm: new URL(server.origin).host })
  const before = await earned()
  const cheap = await credentialFor('/')
  const wrong = await paidWith(cheap, '/dear')
  expect(wrong.status).toBe(402)
  expect(await wrong.json()).toMatchObject({ type: expect.stringContaining('invalid-challenge') })
  expect(Challenge.fromResponse(wrong)).toMatchObject({ request: { amount: String(2n * price) } })
  const parts = Credential.deserialize(cheap)
  const forged = Credential.serialize({ ...parts, challenge: { ...parts.challenge, realm: 'other.example' } })
  expect((await paidWith(forged)).status).toBe(402)
  expect((await paidWith(`${cheap}, ${cheap}`)).status).toBe(400)
  expect(await earned()).toBe(before)
  expect((await paidWith(cheap)).status).toBe(200)
})

test('a copy of a credential gets nothing, at once or later', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/')
  const answers = await Promise.all([1, 2, 3, 4].map(() => paidWith(credential)))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 402, 402, 402])
  const again = await paidWith(credential)
  expect(again.status).toBe(402)
  expect(again.headers.get('WWW-Authenticate')).toMatch(/^Payment /)
  expect(again.headers.get('Payment-Receipt')).toBeNull()
  expect(works).toBe(worked + 1)
  expect(await earned()).toBe(before + price)
})

test('work that fails is not paid, and its credential is good for another try', async () => {
  const before = await earned()
  const credential = await credentialFor('/')
  status = 500
  const failed = await paidWith(credential)
  status = 200
  expect(failed.status).toBe(500)
  expect(failed.headers.get('Payment-Receipt')).toBeNull()
  expect(await earned()).toBe(before)
  expect((await paidWith(credential)).status).toBe(200)
  expect(await earned()).toBe(before + price)
})

test('under an Idempotency-Key a copy gets the same answer for nothing', async () => {
  const [before, worked] = [await earned(), works]
  const credential = await credentialFor('/')
  const key = { 'Idempotency-Key': 'one' }
  const first = await paidWith(credential, '/', key)
  const again = await paidWith(credential, '/', key)
  const renewed = await paidWith(await credentialFor('/'), '/', key)
  const bodies = await Promise.all([first, again, renewed].map((response) => response.text()))
  expect(new Set(bodies)).toEqual(new Set([`work ${worked + 1}`]))
  expect(again.headers.get('Idempotency-Replayed')).toBe('true')
  const references = [first, again, renewed].map((response) => Receipt.fromResponse(response).reference)
  expect(new Set(references).size).toBe(1)
  expect((await paidWith(credential, '/?other', key)).status).toBe(422)
  expect(await earned()).toBe(before + price)
})

test('a payer whose money is gone after the work gets no answer, from any adapter', async () => {
  const thief = fixture.chain.accounts[7] as LocalAccount
  const { deployment, publicClient } = fixture.chain
  const move = async (from: LocalAccount, to: Hex) => {
    const args = [to, await fixture.balance(from.address)] as const
    const call = { address: deployment.token, abi: erc20Abi, functionName: 'transfer', args } as const
    const hash = await fixture.chain.walletClient(from).writeContract(call)
    await publicClient.waitForTransactionReceipt({ hash })
  }
  const app = express()
  app.get('/', paid(paywall, '0.02'), async (_, response) => {
    await move(thief, fixture.stranger.address)
    response.send('secret')
  })
  const onExpress = app.listen(0)
  const { port } = onExpress.address() as AddressInfo
  const before = await earned()
  try {
    for (const origin of [server.origin, `http://127.0.0.1:${port}`]) {
      whileWorking = () => move(thief, fixture.stranger.address)
      const credential = await stockClient(thief).createCredential(await fetch(origin))
      const response = await fetch(origin, { headers: { Authorization: credential } })
      whileWorking = async () => {}
      expect(response.status).toBe(402)
      expect(response.headers.get('Payment-Receipt')).toBeNull()
      expect(response.headers.get('WWW-Authenticate')).toMatch(/^Payment .*method="evm"/)
      expect(await response.json()).toMatchObject({ type: expect.stringContaining('payment-insufficient') })
      await move(fixture.stranger, thief.address)
      // It was worked for, and is over.
      expect((await fetch(origin, { headers: { Authorization: credential } })).status).toBe(402)
    }
  } finally {
    onExpress.close()
  }
  expect(await earned()).toBe(before)
})

test('a stream is paid whole before its first event, and its end tells the receipt', async () => {
  const before = await earned()
  let goOn = () => {}
  afterFirst = new Promise((resolve) => {
    goOn = resolve
  })
  const response = await paidWith(await credentialFor('/stream'), '/stream')
  expect(response.status).toBe(200)
  const [reader, decoder] = [response.body?.getReader(), new TextDecoder()]
  let text = ''
  const readOn = async () => {
    const part = await reader?.read()
    text += decoder.decode(part?.value, { stream: true })
    return part?.done === false
  }
  while (!text.includes('at 5000')) expect(await readOn()).toBe(true)
  expect(text).not.toContain('at 10000')
  expect(await earned()).toBe(before + price)
  goOn()
  while (await readOn());
  expect(text).toContain('at 10000')
  expect(text).toMatch(/event: payment-receipt\ndata: .*"method":"evm"/)
  expect(await earned()).toBe(before + price)
})

function ourClient(options: Partial<Parameters<typeof createDrainClient>[0]> & { maxAmount?: string } = {}) {
  const { deployment, rpcUrl } = fixture.chain
  const { maxAmount = '0.1', ...others } = options
  const account = fixture.consumer
  const tokenDomain = { name: 'USD Coin', version: '2' }
  return createDrainClient({
    ...{ account, deployment, rpcUrl, prefer: 'charge' },
    limits: { perRequest: '0.1', perChannel: '1', perDay: '10' },
    schemes: [payCharges({ account, deployment, tokenDomain, maxAmount })],
    ...others,
  })
}

test('our client pays our route, within its limits', async () => {
  const before = await earned()
  const client = ourClient()
  const response = await client.fetch(server.origin)
  expect(response.status).toBe(200)
  expect(await earned()).toBe(before + price)
  const careful = ourClient({ limits: { perRequest: '0.01', perChannel: '1', perDay: '10' } })
  await expect(careful.fetch(server.origin)).rejects.toBeInstanceOf(LimitExceededError)
  expect(await earned()).toBe(before + price)
})

test('an answer that our client loses it asks for again: one work, paid once', async () => {
  const [before, worked] = [await earned(), works]
  const sent: (string | null)[][] = []
  const client = ourClient({
    async fetch(input, init) {
      const response = await fetch(input, init)
      const headers = new Headers(init?.headers)
      if (!headers.has('Authorization')) return response
      sent.push([headers.get('Authorization'), headers.get('Idempotency-Key')])
      if (sent.length > 1) return response
      await response.body?.cancel()
      throw new TypeError('connection reset')
    },
  })
  const response = await client.fetch(server.origin)
  expect([response.status, await response.text()]).toEqual([200, `work ${worked + 1}`])
  expect(sent).toEqual([sent[0], sent[0]])
  expect(works).toBe(worked + 1)
  expect(await earned()).toBe(before + price)
  expect(await client.spending()).toMatchObject({ charged: '0.02', signed: '0.02' })
})

test('mppx’s own server takes charges into our journal: from its client, from ours, never twice', async () => {
  const tokenDomain = { name: 'USD Coin', version: '2' }
  const mppx = MppxServer.create({
    methods: [charge({ ...cheapGas, paywall, tokenDomain })],
    secretKey: 'x'.repeat(32),
  })
  const stock = await serve(async (request) => {
    const result = await mppx.evm.charge({ amount: '0.02' })(request)
    return result.status === 402 ? result.challenge : result.withReceipt(new Response('done'))
  })
  try {
    const before = await earned()
    const response = await stockClient().fetch(stock.origin)
    expect(response.status).toBe(200)
    const { reference } = Receipt.fromResponse(response)
    expect(await paywall.settler.transactions.isOurs(reference as Hex)).toBe(true)
    expect(await earned()).toBe(before + price)
    expect((await ourClient().fetch(stock.origin)).status).toBe(200)
    expect(await earned()).toBe(before + 2n * price)
    const credential = await stockClient().createCredential(await fetch(stock.origin))
    const answers = await Promise.all(
      [1, 2, 3].map(() => fetch(stock.origin, { headers: { Authorization: credential } })),
    )
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 402, 402])
    expect(await earned()).toBe(before + 3n * price)
    for (const changed of [{ validAfter: '00' }, { validBefore: '0' }]) {
      const text = await stockClient().createCredential(await fetch(stock.origin))
      const parts = Credential.deserialize<{ validBefore: string }>(text)
      const payload = { ...parts.payload, ...changed }
      if ('validBefore' in changed) payload.validBefore = `0${parts.payload.validBefore}`
      const Authorization = Credential.serialize({ ...parts, payload })
      const refused = await fetch(stock.origin, { headers: { Authorization } })
      expect([refused.status, await refused.json()]).toMatchObject([402, { title: expect.any(String) }])
    }
    // x402 is neither offered nor taken.
    const asked = await fetch(stock.origin)
    expect(asked.headers.has('PAYMENT-REQUIRED')).toBe(false)
    expect(await earned()).toBe(before + 3n * price)
  } finally {
    await stock.close()
  }
})
