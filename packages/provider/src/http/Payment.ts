import { type Channel, DrainError, Pricing, type Rejection, Usdc, type Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import type { CaptureResult, ChannelState, Ledger, ReservationId } from '../ledger/Ledger.ts'
import { createSentText, type SentText } from '../stream/SentText.ts'
import type { StreamSettings } from '../stream/StreamSettings.ts'
import type { WaitingLines } from '../stream/WaitingLines.ts'
import { type Answer, encodeAnswer } from './Answer.ts'
import type { PlainAnswer } from './PlainAnswer.ts'
import type { RunningPayments } from './RunningPayments.ts'
import type { AnswerWriter, Funds } from './Scheme.ts'
import { inSteps, type RequestQuote } from './StreamQuote.ts'

/** What the payments of a provider share. */
export type PaymentContext = {
  readonly ledger: Ledger
  readonly running: RunningPayments
  readonly lines: WaitingLines
  readonly settings: StreamSettings
  /** The longest answer that is kept for retries of its request. */
  readonly maxAnswerBytes: number
  /** Told what keeps a payment from being settled. */
  readonly failed?: ((error: unknown) => void) | undefined
}

/** Where the money of a payment is held. */
type Held =
  | {
      reservationId: ReservationId
      consumer: Channel.Channel['consumer']
      /** The channel as the reservation left it. */
      account: ChannelState
    }
  | { funds: Funds }

/**
 * The reserved payment of one request. The handler reports the real cost; without a report the whole quote is charged
 * when the work succeeded, and nothing when it failed.
 */
export class Payment {
  readonly channelId: Hex
  readonly consumer: Channel.Channel['consumer']
  /** What this request can cost at most, in base units. It is reserved, or its first step is. */
  readonly quote: bigint
  /** Whether the answer is kept for retries of the request: pass it to `settle`. */
  readonly keepsAnswer: boolean
  /** How its scheme tells costs, where it isn't paid by the headers. */
  readonly writer: AnswerWriter | undefined
  /** Tells that it could not be taken after all, and how to pay anew, where that can happen. */
  readonly refuse: ((rejection: Rejection.Rejection) => PlainAnswer) | undefined
  readonly #context: PaymentContext
  readonly #reservationId: ReservationId | undefined
  readonly #funds: Funds | undefined
  readonly #step: bigint
  #captured = 0n
  #held: bigint
  #account: ChannelState
  #abort: AbortController | undefined
  #isAborted = false
  #cost: bigint | undefined
  #deferredTo: ReadableStream | undefined
  #isDeferred = false
  #isAbandoned = false
  /** Whether a step was asked for that costs something. */
  #isBegun = false
  /** What was charged when the provider ended this payment while its work went on. */
  #cutOffAt: bigint | undefined
  #sent: SentText | undefined
  #settlement: Promise<Wire.Costs> | undefined
  #awaited: { promise: Promise<Wire.Costs>; resolve: (costs: Promise<Wire.Costs>) => void } | undefined

  constructor(
    context: PaymentContext,
    held: Held & {
      quote: RequestQuote
      keepsAnswer?: boolean
      writer?: AnswerWriter | undefined
      refuse?: ((rejection: Rejection.Rejection) => PlainAnswer) | undefined
    },
  ) {
    const { most, first, step } = inSteps(held.quote)
    this.#context = context
    const { account, consumer } = 'funds' in held ? held.funds : held
    this.#funds = 'funds' in held ? held.funds : undefined
    this.#reservationId = 'funds' in held ? undefined : held.reservationId
    this.#step = step
    this.#held = first
    this.#account = account
    this.channelId = account.channelId
    this.consumer = consumer
    this.quote = most
    this.keepsAnswer = held.keepsAnswer ?? false
    this.writer = held.writer
    this.refuse = held.refuse
    context.running.add(this)
  }

  /**
   * Aborted when the channel closes, a stream ends early, or the client is gone and `outlivesClient` isn't so: end the work at what
   * was metered so far.
   */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#isAborted) this.#abort.abort()
    return this.#abort.signal
  }

  /**
   * Reports what the request really cost, in base units or as a use of a pricing. The last report before the response
   * counts; more than the quote is cut to the quote.
   */
  charge(cost: bigint): void
  charge(pricing: Pricing.Pricing, usage: Pricing.Usage): void
  charge(first: bigint | Pricing.Pricing, usage?: Pricing.Usage): void {
    const cost = typeof first === 'bigint' ? first : Pricing.cost(first, usage)
    if (cost < 0n) throw new RangeError(`A cost cannot be negative: ${Usdc.display(cost)}`)
    this.#cost = cost
  }

  /** What was reported so far, in base units. */
  get reported(): bigint {
    return this.#cost ?? 0n
  }

  /** Says that a response's body settles this payment at its end, as a metered stream does. */
  defer(body?: ReadableStream): void {
    this.#isDeferred = true
    this.#deferredTo = body
  }

  /** The body that settles this payment, where `defer` was told. */
  get deferredTo(): ReadableStream | undefined {
    return this.#deferredTo
  }

  /** Whether the client is gone. */
  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /**
   * Whether the work goes on when the client is gone: it has paid for all of it, or is about to, and gets it under its
   * `Idempotency-Key`.
   */
  get outlivesClient(): boolean {
    return this.#isBegun && this.keepsAnswer && this.#funds?.takesWhole === true
  }

  get isDeferred(): boolean {
    return this.#isDeferred
  }

  /** How metered streams of this provider behave, and wait for each other. */
  get streams(): PaymentContext {
    return this.#context
  }

  /** What was charged so far, in base units. */
  get captured(): bigint {
    return this.#captured
  }

  /** What is reserved beyond that, in base units. */
  get held(): bigint {
    return this.#held
  }

  /** How much a stream reserves ahead, in base units. */
  get stepSize(): bigint {
    return this.#step
  }

  /** The channel's account when this payment last changed it. */
  get account(): ChannelState {
    return this.#account
  }

  /** What a metered stream has sent, as far as it is kept for retries. */
  get sent(): SentText | undefined {
    if (this.keepsAnswer) this.#sent ??= createSentText(this.#context.maxAnswerBytes)
    return this.#sent
  }

  /**
   * Charges what the work has cost so far, in all, durably, and keeps `hold` reserved for what comes, as far as the vouchers
   * cover it: `captured` and `held` tell what came of it.
   * @throws {LedgerUnavailableError}
   */
  async step(cost: bigint, hold: bigint): Promise<void> {
    const { lines } = this.#context
    if (cost > 0n) this.#isBegun = true
    const result = await this.#capture(cost, { final: false, hold })
    const before = this.#held
    this.#account = result.state
    this.#held = result.ok ? result.held : 0n
    if (result.ok) this.#captured = result.captured
    if (this.#held < before) lines.wake(this.channelId)
  }

  /** Keeps the reservation while the work goes on. Called by a timer that all payments share. */
  renew(): void {
    if (this.#settlement) return
    this.#renewal().then(
      // Another process may have frozen the channel.
      (goesOn) => {
        if (!goesOn) this.abort()
      },
      // A lost lease is the provider's loss, at the capture.
      () => {},
    )
  }

  /**
   * The client is gone. The work is told to stop; what it has done is charged all the same, when it settles. If it never does, the
   * payment ends after ten minutes. Work that `outlivesClient` is told to stop then only.
   */
  abandon(): void {
    if (this.#isAbandoned || this.#settlement) return
    this.#isAbandoned = true
    const goesOn = this.outlivesClient
    // A stream that is told to stop settles by itself, and keeps what there is of it.
    const end = () => (goesOn ? this.abort() : void this.cutOff().catch(() => {}))
    const timer = setTimeout(end, abandonedMs)
    if (typeof timer === 'object') timer.unref()
    const stop = () => clearTimeout(timer)
    this.settled.then(stop, stop)
    if (!goesOn) this.abort()
  }

  /**
   * Ends the payment while its work goes on, at the cost reported so far. `settle` refuses an answer that costs more after that:
   * it is not to be sent.
   */
  cutOff(): Promise<Wire.Costs> {
    if (!this.#settlement) {
      // A stream owes what it has charged, whatever was reported of events that it has not sent.
      if (this.#isDeferred) this.#cost = this.#captured
      this.#cutOffAt = max(this.#captured, this.#cost ?? 0n)
    }
    return this.settle(false)
  }

  /** Tells the work to end: the channel closes, or nobody reads the answer. */
  abort(): void {
    this.#isAborted = true
    this.#abort?.abort()
  }

  /** The outcome, once `settle` was called and is durable. */
  get settled(): Promise<Wire.Costs> {
    if (this.#settlement) return this.#settlement
    this.#awaited ??= deferred()
    return this.#awaited.promise
  }

  /**
   * Ends the reservation, durably: captures what was reported or, without a report, the quote if the work `succeeded`.
   * Later calls get the first one's result.
   *
   * @throws {PaymentCutOffError} When the provider has ended it for less.
   * @throws {LedgerUnavailableError}
   * @param answer Kept with it for retries under the request's `Idempotency-Key`, unless nothing was charged because the work
   * failed. Make it when `keepsAnswer`; it is ignored otherwise, and when it is too long.
   */
  settle(succeeded: boolean, answer?: Answer): Promise<Wire.Costs> {
    const cost = min(this.#cost ?? (succeeded ? this.quote : 0n), this.quote)
    if (this.#cutOffAt !== undefined && cost > this.#cutOffAt && this.#settlement)
      return Promise.reject(new PaymentCutOffError())
    if (!this.#settlement) {
      const kept = this.keepsAnswer && answer && (succeeded || cost > 0n) ? answer : undefined
      this.#settlement = this.#end(cost, kept && encodeAnswer(kept, this.#context.maxAnswerBytes))
      this.#awaited?.resolve(this.#settlement)
    }
    return this.#settlement
  }

  #capture(
    cost: bigint,
    options: { final?: boolean; hold?: bigint; outcome?: Uint8Array | undefined },
  ): Promise<CaptureResult> {
    const id = this.#reservationId
    return id === undefined
      ? (this.#funds as Funds).capture(cost, options)
      : this.#context.ledger.capture(id, cost, options)
  }

  async #renewal(): Promise<boolean> {
    const id = this.#reservationId
    if (id === undefined) return (this.#funds as Funds).renew()
    return (await this.#context.ledger.renew(id)).state.status === 'open'
  }

  async #end(actual: bigint, outcome: Uint8Array | undefined): Promise<Wire.Costs> {
    const { running, lines, failed } = this.#context
    try {
      // Reserved in steps, and answered as a whole.
      const missing = actual - this.#captured - this.#held
      if (missing > 0n) await this.step(this.#captured, this.#held + missing)
      const result = await this.#capture(actual, { outcome })
      const { charged, deposit } = result.state
      this.#account = result.state
      // Refused means ended before, which only another holder of this reservation can have done: it charged the cost.
      const cost = result.ok ? result.captured : 0n
      return { channelId: this.channelId, cost, total: charged, remaining: deposit - charged }
    } catch (error) {
      failed?.(error)
      throw error
    } finally {
      running.delete(this)
      lines.wake(this.channelId)
    }
  }
}

/** A payment that was held could not be taken after all: the answer must not be sent. */
export class PaymentFailedError extends DrainError {
  override readonly name = 'PaymentFailedError'
  /** What the client is told. */
  readonly rejection: Rejection.Rejection
  constructor(rejection: Rejection.Rejection) {
    super(rejection.code, rejection.message, { action: 'Do not send the answer.' })
    this.rejection = rejection
  }
}

/** The provider has ended a payment, and its work has an answer that would cost more. */
export class PaymentCutOffError extends DrainError {
  override readonly name = 'PaymentCutOffError'
  constructor() {
    super('payment_cut_off', 'The provider ended this request before its answer was there.', {
      action: 'Do not send the answer.',
    })
  }
}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
const min = (a: bigint, b: bigint) => (a < b ? a : b)

/** How long work whose client is gone may take, to report what it cost or to its end. Its reservation is renewed until then. */
const abandonedMs = 600_000

function deferred() {
  let resolve: (costs: Promise<Wire.Costs>) => void = () => {}
  const promise = new Promise<Wire.Costs>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
