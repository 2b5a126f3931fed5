import type { Rejection, Headers as Wire } from '@drain/core'
import type { AnswerWriter, ChannelState } from '@drain/provider'
import type { Hex } from 'viem'
import { receiptHeader, serializeReceipt } from '../codec/receipt.ts'
import { type SessionReceipt, sessionReceipt } from '../method/sessionReceipt.ts'
import { refusalAnswer } from './refusals.ts'

type Account = Pick<ChannelState, 'authorized'>

/** Tells what became of one credential. */
export class SessionWriter implements AnswerWriter {
  readonly hasChannel = true
  /** Of the transaction that this request has made, if any. */
  txHash: Hex | undefined
  readonly #challengeId: string
  readonly #chainId: number
  readonly #clock: () => number

  constructor(challengeId: string, chainId: number, clock: () => number) {
    this.#challengeId = challengeId
    this.#chainId = chainId
    this.#clock = clock
  }

  receipt(costs: Wire.Costs, account: Account): Record<string, string> {
    return { [receiptHeader]: serializeReceipt(this.streamReceipt(costs, account)) }
  }

  streamReceipt(costs: Pick<Wire.Costs, 'channelId' | 'cost' | 'total'>, account: Account): SessionReceipt {
    const [challengeId, chainId] = [this.#challengeId, this.#chainId]
    return sessionReceipt(costs, account, {
      challengeId,
      chainId,
      txHash: this.txHash,
      at: new Date(this.#clock()),
    })
  }

  /** The receipt of a request that charges nothing. */
  told(
    state: Pick<ChannelState, 'channelId' | 'authorized' | 'charged' | 'deposit'>,
  ): Record<string, string> {
    const { channelId, charged, deposit } = state
    return this.receipt({ channelId, cost: 0n, total: charged, remaining: deposit - charged }, state)
  }

  refuse(rejection: Rejection.Rejection) {
    return refusalAnswer(rejection, { challengeId: this.#challengeId })
  }
}
