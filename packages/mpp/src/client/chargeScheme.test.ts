/** What the client signs when servers lie to it, and what it doesn't. */
import type { ReplayableRequest } from '@drain/consumer'
import { Deployment, Usdc } from '@drain/core'
import { Challenge, Credential, evm } from 'mppx'
import { getAddress, recoverTypedDataAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { challengeNonce } from '../authorization.ts'
import { evmCharge } from './chargeScheme.ts'

const account = privateKeyToAccount(generatePrivateKey())
const deployment = Deployment.find({ chainId: 80002 })
const recipient = getAddress(`0x${'ab'.repeat(20)}`)
const now = Date.parse('2030-01-01T00:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1_000).toISOString()

const requestTo = (href: string): ReplayableRequest => ({
  url: new URL(href),
  method: 'GET',
  redirect: 'follow',
  headers: new Headers({ 'X-Own': 'kept' }),
  signal: undefined,
  text: () => undefined,
  init: ({ headers, redirect }) => ({ headers, redirect }),
})

type Changes = {
  challenge?: Partial<Parameters<typeof Challenge.from>[0]>
  request?: Record<string, unknown>
  details?: Record<string, unknown>
}

function challengeOf({ challenge, request, details }: Changes = {}) {
  return Challenge.from({
    ...{ secretKey: 's'.repeat(32), realm: 'api.example', method: 'evm', intent: 'charge', expires: at(300) },
    meta: { n: crypto.randomUUID() },
    request: {
      ...{ amount: '20000', currency: deployment.token, recipient },
      methodDetails: { chainId: 80002, credentialTypes: ['authorization'], decimals: 6, ...details },
      ...request,
    },
    ...challenge,
  } as Parameters<typeof Challenge.from>[0])
}

const answerWith = (...challenges: Challenge.Challenge[]) =>
  new Response(null, {
    status: 402,
    headers: { 'WWW-Authenticate': challenges.map((one) => Challenge.serialize(one)).join(', ') },
  })

const scheme = (options: Partial<Parameters<typeof evmCharge>[0]> = {}) =>
  evmCharge({ account, deployment, maxAmount: '0.05', now: () => now, ...options })

/** Pays, and returns the credential that went out. */
async function pay(offer: ReturnType<ReturnType<typeof scheme>['readOffer']>, url = 'https://api.example/x') {
  let sent: RequestInit | undefined
  const answer = await offer?.pay(requestTo(url), async (_, init) => {
    sent = init
    return new Response('paid')
  })
  const headers = new Headers(sent?.headers)
  const credential = Credential.deserialize<evm.Types.AuthorizationPayload>(
    headers.get('Authorization') ?? '',
  )
  return { credential, headers, redirect: sent?.redirect, answer }
}

test('a fit challenge is paid with what mppx’s own types make of it', async () => {
  const challenge = challengeOf()
  const offer = scheme().readOffer(answerWith(challenge), requestTo('https://api.example/x'))
  expect(offer).toMatchObject({ amount: 20_000n, payee: recipient.toLowerCase() })
  const { credential, headers, redirect } = await pay(offer)
  expect([headers.get('X-Own'), redirect]).toEqual(['kept', 'manual'])
  expect(credential.challenge).toMatchObject({ id: challenge.id, realm: 'api.example' })
  expect(credential.source).toBe(evm.Types.toSource({ address: account.address, chainId: 80002 }))
  const { payload } = credential
  expect(payload).toMatchObject({ to: recipient, value: '20000', nonce: evm.Types.challengeHash(challenge) })
  const signer = await recoverTypedDataAddress({
    domain: { name: 'USDC', version: '2', chainId: 80002, verifyingContract: deployment.token },
    types: evm.Types.authorizationTypes,
    primaryType: 'TransferWithAuthorization',
    message: {
      ...{ from: getAddress(payload.from), to: recipient, value: 20_000n, nonce: challengeNonce(challenge) },
      ...{ validAfter: BigInt(payload.validAfter), validBefore: BigInt(payload.validBefore) },
    },
    signature: payload.signature as `0x${string}`,
  })
  expect(signer).toBe(account.address)
})

test('an authorization ends in ten minutes at most, whatever the challenge says', async () => {
  for (const [expires, end] of [
    [at(300), 300],
    [at(10 ** 9), 600],
    [undefined, 300],
  ] as const) {
    const challenge = challengeOf({ challenge: { expires } as Changes['challenge'] & object })
    const offer = scheme().readOffer(answerWith(challenge), requestTo('https://api.example/x'))
    expect(offer?.expires).toBe(now + end * 1_000)
    const { credential } = await pay(offer)
    expect(Number(credential.payload.validBefore)).toBe(now / 1_000 + end)
  }
})

test('what is not a charge for this client is no offer, and a good one beside it is taken', async () => {
  const bad: Record<string, Changes> = {
    chain: { details: { chainId: 137 } },
    token: { request: { currency: recipient } },
    decimals: { details: { decimals: 18 } },
    permit: { details: { credentialTypes: ['permit2'] } },
    splits: { details: { splits: [{ amount: '1', recipient }] } },
    nobody: { request: { recipient: `0x${'00'.repeat(20)}` } },
    nothing: { request: { amount: '0' } },
    negative: { request: { amount: '-1' } },
    fraction: { request: { amount: '0.5' } },
    inflated: { request: { amount: '50001' } },
    huge: { request: { amount: '9'.repeat(78) } },
    expired: { challenge: { expires: at(0) } },
    realm: { challenge: { realm: 'other.example' } },
    suffix: { challenge: { realm: 'xapi.example' } },
    topLevel: { challenge: { realm: 'example' } },
    method: { challenge: { method: 'tempo' } },
    header: { challenge: { header: 'Cookie' } },
  }
  const fit = challengeOf({ request: { amount: '1' } })
  for (const [name, changes] of Object.entries(bad)) {
    const request = requestTo('https://api.example/x')
    expect([name, scheme().readOffer(answerWith(challengeOf(changes)), request)]).toEqual([name, undefined])
    expect(scheme().readOffer(answerWith(challengeOf(changes), fit), request)).toMatchObject({ amount: 1n })
  }
})

test('no challenge is paid twice, by whatever route it comes', async () => {
  const one = scheme()
  const challenge = challengeOf()
  const request = requestTo('https://api.example/x')
  const [first, second] = [0, 1].map(() => one.readOffer(answerWith(challenge), request))
  await pay(first)
  await expect(pay(second)).rejects.toMatchObject({ code: 'payment_rejected' })
  expect(one.readOffer(answerWith(challenge), requestTo('https://api.example/y'))).toBeUndefined()
  // The same id and realm under another price would be the same nonce.
  const inflated = { ...challengeOf({ request: { amount: '1' } }), id: challenge.id }
  expect(one.readOffer(answerWith(inflated), request)).toBeUndefined()
})

test('a challenge that expires between reading and paying is not signed', async () => {
  let clock = now
  const offer = scheme({ now: () => clock }).readOffer(
    answerWith(challengeOf()),
    requestTo('https://api.example/x'),
  )
  clock += 301_000
  await expect(pay(offer)).rejects.toMatchObject({ code: 'payment_rejected' })
})

test('a domain that the server is in is not it, unless it is named', () => {
  const request = requestTo('https://evil.vercel.app/x')
  const answer = answerWith(challengeOf({ challenge: { realm: 'vercel.app' } }))
  expect(scheme().readOffer(answer, request)).toBeUndefined()
  expect(scheme({ realms: ['vercel.app'] }).readOffer(answer, request)).toBeDefined()
})

test('realms by hand, recipients by list, the other header where it is asked for', async () => {
  const named = challengeOf({ challenge: { realm: 'my-fly-app' } })
  const request = requestTo('https://api.example/x')
  expect(scheme({ realms: ['my-fly-app'] }).readOffer(answerWith(named), request)).toBeDefined()
  const listed = scheme({ recipients: [`0x${'01'.repeat(20)}`] })
  expect(listed.readOffer(answerWith(challengeOf()), request)).toBeUndefined()
  expect(scheme({ recipients: [recipient] }).readOffer(answerWith(challengeOf()), request)).toBeDefined()
  const other = challengeOf({ challenge: { header: 'Payment-Authorization' } })
  const offer = scheme().readOffer(answerWith(other), request)
  let sent = new Headers()
  await offer?.pay({ ...request, headers: new Headers({ Authorization: 'Bearer x' }) }, async (_, init) => {
    sent = new Headers(init?.headers)
    return new Response()
  })
  expect(sent.get('Authorization')).toBe('Bearer x')
  expect(sent.get('Payment-Authorization')).toMatch(/^Payment /)
})

test('a token whose domain is not known needs one', () => {
  const own = Deployment.from({ chainId: 31337, contract: recipient, token: recipient })
  expect(() => evmCharge({ account, deployment: own })).toThrowError(
    expect.objectContaining({ code: 'token_domain' }),
  )
  expect(Usdc.parse('0.05')).toBe(50_000n)
})
