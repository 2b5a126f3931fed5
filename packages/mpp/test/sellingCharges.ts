/** A paywall that takes charges over HTTP, for the tests of a file that imports this. */
import { evmCharge } from '@drain/mpp/server'
import type { PaidHandler, Paywall } from '@drain/provider'
import { afterAll, beforeAll } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { challengeNonce, type SignedAuthorization, toPayload } from '../src/authorization.ts'
import { type Challenge, parseChallenges } from '../src/codec/challenge.ts'
import { serializeCredential } from '../src/codec/credential.ts'
import { authorize, cheapGas } from './charging.ts'

export const price = 20_000n

export let fixture: Fixture
export let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ schemes: [evmCharge(cheapGas)] })
  await paywall.ready()
})
afterAll(() => fixture?.close())

export type Init = RequestInit & { duplex?: 'half' }

/** Where requests go that aren't sent over a socket. */
export const origin = 'http://127.0.0.1:1'

export function ask(path: string, work: PaidHandler, init: Init = {}, at = paywall): Promise<Response> {
  return at.handle(new Request(origin + path, init), price, work)
}

export function challengeIn(response: Response): Challenge {
  const [challenge] = parseChallenges(response.headers.get('WWW-Authenticate'))
  if (!challenge) throw new Error('no challenge')
  return challenge
}

/** Answers the challenge of a 402. `change`: what is changed once it is signed. */
export async function answerTo(
  asked: Response,
  { change, ...signed }: Parameters<typeof authorize>[2] & { change?: Partial<SignedAuthorization> } = {},
): Promise<string> {
  const challenge = challengeIn(asked)
  const authorization = await authorize(fixture, price, { nonce: challengeNonce(challenge), ...signed })
  return serializeCredential({ challenge, payload: toPayload({ ...authorization, ...change }) })
}

export const under = (Authorization: string, key?: string) => ({
  headers: { Authorization, ...(key && { 'Idempotency-Key': key }) },
})

export const earned = () => fixture.balance(fixture.provider.address)
