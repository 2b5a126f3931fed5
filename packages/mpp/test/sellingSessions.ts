/** A paywall that sells jokes by `drain/session`, and a channel to pay from: anew for each test of a file that imports this. */
import { Headers as Wire } from '@drain/core'
import { drainSession } from '@drain/mpp/server'
import type { Paywall, PaywallConfig } from '@drain/provider'
import type { Challenge } from 'mppx'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from '../../provider/test/fixture.ts'
import { challengeOf, credential, voucherFields } from './credentials.ts'

export const url = 'https://api.example/joke'
export const price = 1_000n
export const secret = 'a secret of tests, at least 32 bytes'

export let fixture: Fixture
export let paywall: Paywall
export let channel: OpenChannel
export let works = 0
beforeAll(async () => {
  fixture = await startFixture()
  paywall = selling()
})
afterAll(() => fixture?.close())
beforeEach(async () => {
  works = 0
  channel = await fixture.open()
})

export const selling = (options: Partial<PaywallConfig> = {}, scheme = drainSession()) =>
  fixture.paywall({ schemes: [scheme], relay: { nativePrice: '0.25' }, ...options })

export function ask(
  headers: Record<string, string> = {},
  init: RequestInit = {},
  to = paywall,
  quote = price,
) {
  return to.handle(new Request(url, { ...init, headers }), quote, () => {
    works += 1
    return new Response('a joke')
  })
}

export async function challenged(to = paywall): Promise<Challenge.Challenge> {
  return challengeOf(await ask({}, {}, to))
}

export async function pay(
  payload: unknown,
  headers: Record<string, string> = {},
  init: RequestInit = {},
  to = paywall,
) {
  const Authorization = credential(await challenged(to), payload)
  return ask({ Authorization, ...headers }, init, to)
}

export const voucher = async (amount: bigint, options?: Parameters<OpenChannel['voucher']>[1]) => ({
  action: 'voucher',
  ...(await voucherFields(channel, amount, options)),
})

/** What a refusal says, to readers of either kind. */
export async function refusalOf(response: Response) {
  const body = await response.json()
  const { status, headers } = response
  expect(headers.get('Content-Type')).toBe('application/problem+json')
  expect(body.status).toBe(status)
  expect(body.detail).toBe(body.error.message)
  expect(headers.get(Wire.names.error[0])).toBe(body.error.code)
  expect(headers.has('Payment-Receipt')).toBe(false)
  const type = body.type.replace('https://paymentauth.org/problems/', '')
  return { status, type, code: body.error.code, offers: headers.has('WWW-Authenticate') }
}
