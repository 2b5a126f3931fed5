import { Rejection } from '@drain/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { drainSession } from './drainSession.ts'
import { problemBody, problemOf } from './problems.ts'
import { readPayload } from './sessionPayload.ts'

const address = `0x${'ab'.repeat(20)}`
const hash = `0x${'cd'.repeat(32)}`
const signature = `0x${'ef'.repeat(65)}`
const voucher = { channelId: hash, cumulativeAmount: '1000', nonce: '1', signature }
const authorization = {
  ...{ consumer: address, provider: address, signer: address, salt: hash, signature },
  ...{ amount: '1000000', duration: '86400', validAfter: '0', validBefore: '2000000000' },
}

const payloads: Record<string, unknown>[] = [
  { action: 'voucher', ...voucher },
  { action: 'open', type: 'hash', ...voucher },
  { action: 'open', type: 'hash', ...voucher, hash },
  { action: 'open', type: 'authorization', ...voucher, authorization },
  { action: 'close', channelId: hash, deadline: '2000000000', signature },
]

const { payload: schema } = drainSession.schema.credential
const isRead = (payload: Record<string, unknown>) => {
  try {
    return Boolean(readPayload(payload))
  } catch {
    return false
  }
}

describe('payloads', () => {
  test('that are right are read by us and by the schema', () => {
    for (const payload of payloads) {
      expect(isRead(payload), JSON.stringify(payload)).toBe(true)
      expect(schema.parse(payload)).toEqual(payload)
    }
  })

  test('that the schema refuses are refused by us', () => {
    const values = fc.oneof(
      fc.constantFrom(
        '',
        '0',
        '-1',
        '01',
        '1e3',
        '0x',
        '0x1',
        hash,
        address,
        signature,
        'open',
        'hash',
        'close',
      ),
      fc.constantFrom((2n ** 63n).toString(), (2n ** 256n).toString(), '9'.repeat(79)),
      fc.jsonValue(),
    )
    const changed = fc
      .tuple(fc.constantFrom(...payloads), fc.nat(), values, fc.boolean())
      .map(([payload, at, value, drop]) => {
        const names = [...Object.keys(payload), 'more', 'hash']
        const name = names[at % names.length] as string
        const { [name]: _, ...rest } = payload
        return drop ? rest : { ...rest, [name]: value }
      })
    fc.assert(
      fc.property(changed, (payload) => !isRead(payload) || schema.safeParse(payload).success),
      { numRuns: 2_000 },
    )
  })
})

test('every refusal of the paywall is a problem', () => {
  for (const [code, status] of Object.entries(Rejection.statuses)) {
    const problem = problemOf(code as Rejection.Code)
    expect([status, 402, 410]).toContain(problem.status)
    const body = JSON.parse(
      problemBody({ code: code as Rejection.Code, message: 'why' }, problem, { channelId: hash }),
    )
    expect(body).toMatchObject({
      ...problem,
      detail: 'why',
      channelId: hash,
      error: { code, message: 'why' },
    })
  }
})

test('requests cross the wire in base units', () => {
  const given = {
    amount: '0.001',
    chainId: 137,
    currency: address,
    escrowContract: address,
    recipient: address,
  }
  expect(drainSession.schema.request.parse({ ...given, suggestedDeposit: '1' })).toEqual({
    ...{ amount: '1000', currency: address, recipient: address, suggestedDeposit: '1000000' },
    methodDetails: { chainId: 137, credentialTypes: ['hash'], escrowContract: address },
  })
})
