/** What becomes of paid work whose client goes away. */
import { type Address, zeroAddress, zeroHash } from 'viem'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createUpstream, events, readEvents } from '../../test/streamTools.ts'
import type { ChannelState } from '../ledger/Ledger.ts'
import { memoryLedger } from '../ledger/memory.ts'
import { defaultStreamSettings } from '../stream/StreamSettings.ts'
import { sse } from '../stream/sse.ts'
import { createWaitingLines } from '../stream/WaitingLines.ts'
import { decodeAnswer } from './Answer.ts'
import { Payment } from './Payment.ts'
import { createRunningPayments } from './RunningPayments.ts'
import type { Funds } from './Scheme.ts'

const quote = 1_000n
const tenMinutes = 600_000

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A payment of funds that keep what they are told. */
function begin({ keepsAnswer = true, ...kind }: Pick<Funds, 'takesWhole'> & { keepsAnswer?: boolean } = {}) {
  const account: ChannelState = {
    ...{ channelId: zeroHash, consumer: zeroAddress, provider: zeroAddress, deposit: quote, expiry: 0n },
    ...{ authorized: quote, reserved: quote, charged: 0n, claimed: 0n, claiming: 0n, requests: 0n },
    ...{ status: 'open', firstSeen: 0n, alarm: false },
    ...{ finalAmount: undefined, nonce: undefined, highest: undefined, claimable: undefined },
  }
  const kept: string[] = []
  const funds: Funds = {
    ...{ account, consumer: zeroAddress as Address, renew: async () => true, ...kind },
    async capture(cost, { final = true, outcome }) {
      if (outcome) {
        const { ended, body } = decodeAnswer(outcome)
        kept.push(`${ended}: ${new TextDecoder().decode(body)}`)
      }
      return { ok: true, captured: cost, held: final ? 0n : quote - cost, state: account }
    },
  }
  const identity = { chainId: 1, contract: zeroAddress, provider: zeroAddress }
  const payment = new Payment(
    {
      ...{ ledger: memoryLedger({ log: () => {} })(identity), running: createRunningPayments() },
      ...{ lines: createWaitingLines(), settings: defaultStreamSettings, maxAnswerBytes: 10_000 },
    },
    { funds, quote, keepsAnswer },
  )
  const upstream = createUpstream()
  upstream.push(...events(1, 100n))
  return { payment, upstream, kept, stream: readEvents(sse(payment, upstream)) }
}

describe('a stream that is paid whole, and kept for a retry', () => {
  test('goes on without its client, to its end', async () => {
    const { payment, upstream, kept, stream } = begin({ takesWhole: true })
    await stream.next()
    const cancelled = stream.cancel()
    expect([payment.isAbandoned, payment.signal.aborted]).toEqual([true, false])
    upstream.push(...events(1, 200n, 2))
    upstream.end()
    await cancelled
    expect(kept).toEqual(['complete: data: {"index":1}\n\ndata: {"index":2}\n\n'])
  })

  test('ends ten minutes after its client, and keeps what there is', async () => {
    const { payment, upstream, kept, stream } = begin({ takesWhole: true })
    await stream.next()
    const cancelled = stream.cancel()
    upstream.push(...events(1, 200n, 2))
    await vi.advanceTimersByTimeAsync(tenMinutes - 1)
    expect([upstream.isStopped, payment.signal.aborted]).toEqual([false, false])
    await vi.advanceTimersByTimeAsync(1)
    await cancelled
    expect([upstream.isStopped, payment.signal.aborted]).toEqual([true, true])
    expect(kept).toEqual(['left: data: {"index":1}\n\ndata: {"index":2}\n\n'])
  })
})

test.each([
  ['charged step by step', {}],
  ['kept for nobody', { takesWhole: true, keepsAnswer: false }],
] as const)('a stream that is %s ends with its client', async (_, kind) => {
  const { payment, upstream, stream } = begin(kind)
  await stream.next()
  await stream.cancel()
  expect([upstream.isStopped, payment.signal.aborted]).toEqual([true, true])
})
