/**
 * Payment schemes beside the headers, which are built in: what a 402 offers, what in a request pays, and how its answer tells
 * what it cost. All of them pay into one ledger.
 */
import type { Deployment, Rejection, Signature, Voucher, Headers as Wire } from '@drain/core'
import type { Address, Hex, LocalAccount, PublicClient } from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import type { CaptureResult, ChannelState, IdempotencyKey, Ledger } from '../ledger/Ledger.ts'
import type { Logger } from '../observe/Log.ts'
import type { Metrics } from '../observe/Metrics.ts'
import type { ChargeBook } from '../settle/ChargeBook.ts'
import type { Transactions } from '../settle/Transactions.ts'
import type { Terms } from '../verify/Terms.ts'
import type { Found } from './admission.ts'
import type { Asker, ChannelRequests } from './channelRequests.ts'
import type { OpenRelay } from './openRelay.ts'
import type { RequestHead } from './RequestHead.ts'
import type { StreamQuote } from './StreamQuote.ts'

/** Makes a scheme for one paywall: `schemes: [drainSession()]` in its configuration. */
export type SchemeFactory = (context: SchemeContext) => Scheme

export type Scheme = {
  /** Such as `drain/session`. */
  readonly name: string
  /** Resolves when the scheme can offer and read. Asked before a paywall's first request, and by its `ready`. */
  ready?(): Promise<void>
  /** The challenge that a 402 carries in `WWW-Authenticate`, if this scheme can pay. Called for each 402, so it must be cheap. */
  offer(ask: Ask): string | undefined
  /**
   * What of this scheme is in a request: nothing, something that can't pay, or an instrument. Pure, and never throws. Of several
   * instruments in one request, none is taken.
   */
  read(request: RequestHead, origin: string): Reading | undefined
}

/** A request that is to be paid. */
export type Ask = {
  request: RequestHead
  /** The provider's own, as the consumer sees it. */
  origin: string
  quote: Pick<StreamQuote, 'most' | 'first'>
}

export type Reading = { ok: true; instrument: Instrument } | ({ ok: false; writer: AnswerWriter } & Refusal)

/** Why something is refused. `retryAfterSeconds`: for what may pass later. */
export type Refusal = { rejection: Rejection.Rejection; retryAfterSeconds?: number | undefined }

/** What pays for a request. */
export type Instrument = VoucherInstrument | FundsInstrument | ManagedInstrument

/** A voucher on a channel: from here on it goes the way of the headers. */
export type VoucherInstrument = {
  readonly kind: 'voucher'
  readonly writer: AnswerWriter
  readonly voucher: Voucher.Voucher
  /**
   * Opens the channel first, where the credential brings what that takes, for a request of that many base units. Returns why it
   * can't be.
   */
  prepare?(quote: bigint, asker: Asker): Promise<Refusal | undefined>
}

/** Money that isn't on a channel. */
export type FundsInstrument = {
  readonly kind: 'funds'
  readonly writer: AnswerWriter
  /** What is wrong with it by itself, for a quote, if anything: asked before the body of a request with a key is read. */
  check?(quote: bigint): Promise<Refusal | undefined>
  /** Takes hold of the whole quote (`most`), durably, before the work starts. */
  begin(ask: { quote: bigint; key: IdempotencyKey | undefined; asker: Asker }): Promise<FundsBegun>
}

export type FundsBegun =
  | { ok: true; funds: Funds }
  | ({ ok: false } & Refusal)
  /** The stored answer of a request under the same key, encoded; it is given again. */
  | { ok: false; outcome: Uint8Array; costs: Wire.Costs; account: ChannelState }

/** A request that is about the payment itself: no work is done, and nothing is charged. */
export type ManagedInstrument = {
  readonly kind: 'managed'
  readonly writer: AnswerWriter
  answer(asker: Asker): Promise<Managed>
}

export type Managed =
  | { ok: true; status: 200 | 204; headers: Record<string, string>; body?: unknown }
  | ({ ok: false } & Refusal)

/** Where a payment's money is: a reservation in the ledger, or something that acts like one. */
export type Funds = {
  /** As it was when the payment began. `channelId` keys what runs at the moment; without a channel it stands for the payer. */
  readonly account: ChannelState
  readonly consumer: Address
  /**
   * Says that the first cost that is captured takes all that is held. What is begun for it and read by nobody is worked for to its end
   * then, if a retry can get it.
   */
  readonly takesWhole?: true | undefined
  /** As `Ledger.capture`. What is thrown keeps the answer from being sent; see `PaymentFailedError`. */
  capture(
    cost: bigint,
    options: { final?: boolean; hold?: bigint; outcome?: Uint8Array | undefined },
  ): Promise<CaptureResult>
  /** Keeps hold while the work goes on. Resolves to whether work may go on. */
  renew(): Promise<boolean>
}

/** How a scheme tells costs and refusals, beside the headers' own way. One per request, so that it may know of its payment. */
export type AnswerWriter = {
  /** Whether the payment has a channel: the cost headers tell of its total and rest then. */
  readonly hasChannel: boolean
  /** Headers of a paid answer below 300. `account`: as the payment left it; of a stream, as it was when its head left. */
  receipt(costs: Wire.Costs, account: ChannelState): Record<string, string>
  /** Members of a stream's `payment-receipt`, beside those of every stream. */
  streamReceipt(costs: Wire.Costs, account: ChannelState): Record<string, unknown>
  /** Status and body of a refusal. On a 402 fresh challenges are put beside it. */
  refuse(rejection: Rejection.Rejection): { status: number; headers: Record<string, string>; body: string }
}

/** What a paywall hands its schemes. */
export type SchemeContext = {
  readonly deployment: Deployment.Deployment
  readonly provider: Address
  readonly terms: Terms
  readonly domainSeparator: Hex
  /** The provider's account, to send with; none in a process that serves without the key. */
  readonly account: LocalAccount | undefined
  readonly client: PublicClient
  readonly ledger: Ledger
  readonly transactions: Transactions
  readonly channels: Pick<ChannelReader, 'get' | 'read' | 'forget' | 'now'>
  readonly secp256k1: Signature.Secp256k1
  /** Opens channels for consumers without gas, where that is turned on. */
  readonly relay: OpenRelay | undefined
  /** A channel as the ledger or the chain knows it. */
  readonly lookUp: (channelId: Hex, remoteAddress?: string) => Promise<Found>
  /** Vouchers without a request, and closing. */
  readonly requests: ChannelRequests
  /** Milliseconds of the local clock: for what other parties' clocks are to agree with. */
  readonly clock: () => number
  readonly logger: Logger
  readonly metrics: Pick<Metrics, 'charges'>
  /** Looks after payments without a channel until they are final. */
  readonly charges: Pick<ChargeBook, 'expect' | 'give' | 'unanswered'>
}
