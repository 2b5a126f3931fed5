import {
  type Address,
  encodeAbiParameters,
  encodeEventTopics,
  type Hex,
  type Log,
  type TransactionReceipt,
} from 'viem'
import { expect, test } from 'vitest'
import { authorizationAbi, hasPaid } from './chargeEvents.ts'

const address = (digit: string) => `0x${digit.repeat(40)}` as Address
const [token, payer, provider, other] = ['a', 'b', 'c', 'd'].map(address) as [
  Address,
  Address,
  Address,
  Address,
]
const nonce = (digit: string) => `0x${digit.repeat(64)}` as Hex

type Event = { from?: Address; at?: Address } & ({ used: Hex } | { to: Address; value: bigint })

/** A receipt with these events, in order. */
function receiptOf(
  events: Event[],
  status: TransactionReceipt['status'] = 'success',
): Pick<TransactionReceipt, 'status' | 'logs'> {
  const logs = events.map((event, logIndex): Log<bigint, number, false> => {
    const from = event.from ?? payer
    const topics =
      'used' in event
        ? encodeEventTopics({
            abi: authorizationAbi,
            eventName: 'AuthorizationUsed',
            args: { authorizer: from, nonce: event.used },
          })
        : encodeEventTopics({ abi: authorizationAbi, eventName: 'Transfer', args: { from, to: event.to } })
    const data = 'used' in event ? '0x' : encodeAbiParameters([{ type: 'uint256' }], [event.value])
    const place = { blockHash: nonce('0'), blockNumber: 1n, transactionHash: nonce('0'), transactionIndex: 0 }
    return {
      ...{ address: event.at ?? token, data, logIndex, removed: false, ...place },
      topics: topics as [Hex, ...Hex[]],
    }
  })
  return { status, logs }
}

const charge = { from: payer, to: provider, value: 7n, validAfter: 0n, validBefore: 1n, nonce: nonce('1') }
const isPaid = (...receipt: Parameters<typeof receiptOf>) => hasPaid(receiptOf(...receipt), charge, token)

test('a use and the transfer that follows it pay', () => {
  expect(isPaid([{ used: nonce('1') }, { to: provider, value: 7n }])).toBe(true)
  expect(isPaid([{ to: other, value: 1n }, { used: nonce('1') }, { to: provider, value: 7n }])).toBe(true)
})

test('another payer, nonce, recipient, amount or token does not, nor a transaction that failed', () => {
  expect(isPaid([{ used: nonce('1') }, { to: provider, value: 7n }], 'reverted')).toBe(false)
  expect(isPaid([{ used: nonce('2') }, { to: provider, value: 7n }])).toBe(false)
  expect(isPaid([{ used: nonce('1') }, { to: other, value: 7n }])).toBe(false)
  expect(isPaid([{ used: nonce('1') }, { to: provider, value: 6n }])).toBe(false)
  expect(isPaid([{ used: nonce('1') }, { to: provider, value: 7n, from: other }])).toBe(false)
  expect(
    isPaid([
      { used: nonce('1'), from: other },
      { to: provider, value: 7n },
    ]),
  ).toBe(false)
  expect(
    isPaid([
      { used: nonce('1'), at: other },
      { to: provider, value: 7n, at: other },
    ]),
  ).toBe(false)
  expect(isPaid([{ used: nonce('1') }])).toBe(false)
})

test('one transfer does not pay two charges whose nonces are burned in one transaction', () => {
  const events: Event[] = [
    { used: nonce('2') },
    { to: provider, value: 7n },
    { used: nonce('1') },
    { to: payer, value: 0n },
  ]
  expect(isPaid(events)).toBe(false)
  expect(hasPaid(receiptOf(events), { ...charge, nonce: nonce('2') }, token)).toBe(true)
})
