import type { Headers as Wire } from '@drain/core'
import type { ChannelState } from '@drain/provider'
import type { Hex } from 'viem'
import type { Receipt } from '../codec/receipt.ts'
import { intent, methodName } from './drainSession.ts'

/** The receipt of a payment from a channel. Amounts are base units. */
export type SessionReceipt = Receipt & {
  intent: typeof intent
  challengeId: string
  channelId: Hex
  chainId: number
  /** What the consumer has signed for, in all. */
  acceptedCumulative: string
  /** What was charged on the channel, in all. */
  spent: string
  /** What this request was charged. */
  cost: string
  /** Of the transaction that opened or closed the channel, where this request did that. */
  txHash?: Hex | undefined
}

export function sessionReceipt(
  { channelId, cost, total }: Pick<Wire.Costs, 'channelId' | 'cost' | 'total'>,
  { authorized }: Pick<ChannelState, 'authorized'>,
  details: { challengeId: string; chainId: number; txHash?: Hex | undefined; at: Date },
): SessionReceipt {
  const { challengeId, chainId, txHash, at } = details
  return {
    method: methodName,
    intent,
    status: 'success',
    timestamp: at.toISOString(),
    reference: channelId,
    challengeId,
    channelId,
    chainId,
    acceptedCumulative: authorized.toString(),
    spent: total.toString(),
    cost: cost.toString(),
    ...(txHash && { txHash }),
  }
}
