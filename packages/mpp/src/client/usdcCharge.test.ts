/** mppx's own client with our preset: what it signs on Polygon and Amoy, and what a server doesn't get signed. */
import { Deployment } from '@drain/core'
import { Challenge, Credential, evm } from 'mppx'
import { Mppx } from 'mppx/client'
import { getAddress, recoverTypedDataAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { beforeEach, expect, test } from 'vitest'
import { challengeNonce } from '../authorization.ts'
import { usdcOn } from '../usdc.ts'
import { amoyUsdc, polygonUsdc } from './chargeAssets.ts'
import { session } from './session.ts'
import { type UsdcChargeOptions, usdcCharge } from './usdcCharge.ts'

const account = privateKeyToAccount(generatePrivateKey())
const recipient = getAddress(`0x${'ab'.repeat(20)}`)
const url = 'https://api.example/x'

/** What the server answers, and what it got. */
let answer: (request: Request) => Response
let paid: Credential.Credential<evm.Types.AuthorizationPayload>[]
let sent: Request[]
beforeEach(() => {
  answer = () => asking()
  paid = []
  sent = []
})

const network: typeof globalThis.fetch = async (input, init) => {
  const request = new Request(input, init)
  sent.push(request)
  const names = ['Authorization', 'Payment-Authorization', 'PAYMENT-SIGNATURE', 'X-Other']
  for (const text of names.flatMap((name) => request.headers.get(name) ?? []))
    paid.push(Credential.deserialize<evm.Types.AuthorizationPayload>(text))
  const response = answer(request)
  return Object.defineProperty(response, 'url', { value: request.url })
}

function client(options: Partial<UsdcChargeOptions> = {}) {
  const usdc = usdcCharge({ account, maxAmount: '0.05', fetch: network, ...options })
  return Mppx.create({ methods: [usdc], fetch: usdc.fetch, polyfill: false })
}

function asking({ chainId = 137, amount = '50000', ...differing }: Record<string, unknown> = {}) {
  const challenge = Challenge.from({
    ...{ secretKey: 's'.repeat(32), realm: 'api.example', method: 'evm', intent: 'charge' },
    expires: new Date(Date.now() + 60_000).toISOString(),
    meta: { n: crypto.randomUUID() },
    request: {
      ...{ amount, currency: usdcOn(chainId as number)?.address ?? recipient, recipient },
      methodDetails: { chainId, credentialTypes: ['authorization'], decimals: 6 },
    },
    ...differing,
  } as Parameters<typeof Challenge.from>[0])
  const headers = { 'WWW-Authenticate': Challenge.serialize(challenge) }
  return new Response(null, { status: 402, headers })
}

test.each([
  [137, 'USD Coin'],
  [80002, 'USDC'],
] as const)('on chain %i an authorization is signed in the domain %s', async (chainId, name) => {
  answer = ({ headers }) => (headers.has('Authorization') ? new Response('paid') : asking({ chainId }))
  expect((await client().fetch(url)).status).toBe(200)
  const [{ challenge, payload } = {}] = paid
  if (!challenge || !payload) throw new Error('not paid')
  const signer = await recoverTypedDataAddress({
    domain: { name, version: '2', chainId, verifyingContract: Deployment.find({ chainId }).token },
    types: evm.Types.authorizationTypes,
    primaryType: 'TransferWithAuthorization',
    message: {
      ...{ from: account.address, to: recipient, value: 50_000n, nonce: challengeNonce(challenge) },
      ...{ validAfter: BigInt(payload.validAfter), validBefore: BigInt(payload.validBefore) },
    },
    signature: payload.signature as `0x${string}`,
  })
  expect(signer).toBe(account.address)
})

test('a server that asks again after it was paid gets one payment', async () => {
  const paying = client()
  await expect(paying.fetch(url)).rejects.toMatchObject({ rejection: 'payment_refused' })
  expect(paid).toHaveLength(1)
  // The next request is another one.
  await expect(paying.fetch(url)).rejects.toMatchObject({ rejection: 'payment_refused' })
  expect(paid).toHaveLength(2)
})

test.each([
  ['in the same form', ''],
  ['in a form that only mppx reads', ';, '],
  ['in a header that is too long for us', `Other x="${'x'.repeat(65_536)}", `],
])(
  'a server that offers several and asks for them one after the other, %s, gets one payment',
  async (_, lead) => {
    const challenges = Array.from({ length: 7 }, () => asking().headers.get('WWW-Authenticate') ?? '')
    answer = () => {
      const value = (paid.length > 0 ? lead : '') + challenges.slice(paid.length).join(', ')
      return new Response(null, { status: 402, headers: { 'WWW-Authenticate': value } })
    }
    await expect(client().fetch(url)).rejects.toThrow()
    expect(paid).toHaveLength(1)
  },
)

test.each<[string, Record<string, unknown>, RegExp]>([
  ['more than the maximum', { amount: '50001' }, /exceeds/],
  ['another chain', { chainId: 8453 }, /not allowed/],
  ['a realm of others', { realm: 'honest.example' }, /asks for a payment to "honest.example"/],
  ['a domain that others are in', { realm: 'example' }, /asks for a payment to "example"/],
  ['a cheque for years', { expires: '2099-01-01T00:00:00Z' }, /could take until 2099/],
  ['a header of its own', { header: 'X-Other' }, /another form/],
])('%s is not signed', async (_, differing, error) => {
  answer = () => asking(differing)
  await expect(client().fetch(url)).rejects.toThrow(error)
  expect(paid).toEqual([])
})

test('x402 is not signed', async () => {
  const accepts = [
    {
      ...{ scheme: 'exact', network: 'eip155:137', amount: '50000', asset: polygonUsdc.address },
      ...{ payTo: recipient, maxTimeoutSeconds: 60, extra: { name: 'USD Coin', version: '2' } },
    },
  ]
  const required = { x402Version: 2, error: 'pay', resource: { url }, accepts }
  const headers = { 'PAYMENT-REQUIRED': Buffer.from(JSON.stringify(required)).toString('base64') }
  answer = () => new Response('{}', { status: 402, headers })
  await expect(client().fetch(url)).rejects.toThrow(/No method found for challenges: evm\.charge/)
  expect(sent).toHaveLength(1)
})

test('what the caller narrows or names', async () => {
  answer = () => asking({ chainId: 80002 })
  await expect(client({ chains: [137] }).fetch(url)).rejects.toThrow(/not allowed/)
  expect(() => usdcCharge({ account, maxAmount: '0.0000001' })).toThrow()
  answer = ({ headers }) => (headers.has('Authorization') ? new Response() : asking({ realm: 'my-app' }))
  expect((await client({ realms: ['my-app'] }).fetch(url)).status).toBe(200)
})

test('without the method’s fetch nothing is signed', async () => {
  const usdc = usdcCharge({ account, maxAmount: '0.05' })
  const mppx = Mppx.create({ methods: [usdc], fetch: network, polyfill: false })
  await expect(mppx.fetch(url)).rejects.toMatchObject({ code: 'mpp_fetch_missing' })
  expect(paid).toEqual([])
})

test('a payment goes to no other origin, and not past a redirect', async () => {
  const usdc = usdcCharge({ account, maxAmount: '0.05', fetch: network })
  const mppx = Mppx.create({ methods: [usdc], fetch: usdc.fetch, polyfill: false })
  const Authorization = await mppx.createCredential(await usdc.fetch(url))
  const headers = { Authorization }
  await expect(usdc.fetch('https://other.example/x', { headers })).rejects.toThrow(/was to be sent to/)
  answer = () => new Response(null, { status: 307, headers: { Location: 'https://other.example/x' } })
  await expect(usdc.fetch(url, { headers })).rejects.toThrow(/redirects a paid request/)
  expect(sent.at(-1)?.redirect).toBe('manual')
})

test('beside a session, whose fetch sends through it', async () => {
  const usdc = usdcCharge({ account, maxAmount: '0.05', fetch: network })
  const drain = session({ pay: async (response) => response }, { fetch: usdc.fetch })
  const mppx = Mppx.create({ methods: [drain, usdc], fetch: drain.fetch, polyfill: false })
  answer = ({ headers }) => (headers.has('Authorization') ? new Response('paid') : asking())
  expect((await mppx.fetch(url)).status).toBe(200)
  expect(paid).toHaveLength(1)
})

test('the presets are the tokens of the deployments', () => {
  expect([polygonUsdc, amoyUsdc].map(({ address, network }) => [network, address])).toEqual([
    ['eip155:137', Deployment.find({ chainId: 137 }).token],
    ['eip155:80002', Deployment.find({ chainId: 80002 }).token],
  ])
})
