import { type Channel, Pricing, Usdc, type Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import type { Ledger, ReservationId } from '../ledger/Ledger.ts'

/** A reservation is a lease; it is renewed at a third of its time for as long as the work runs. */
const leaseMs = 60_000
const heartbeatMs = leaseMs / 3

/**
 * The reserved payment of one request. The handler reports the real cost; without a report the whole quote is charged
 * when the work succeeded, and nothing when it failed.
 */
export class Payment {
  readonly channelId: Hex
  readonly consumer: Channel.Channel['consumer']
  /** What this request can cost at most, in base units; it is reserved. */
  readonly quote: bigint
  /** Aborted when the channel closes or the client of a stream goes away: end the work at what was metered so far. */
  readonly signal: AbortSignal
  readonly #ledger: Ledger
  readonly #reservationId: ReservationId
  readonly #heartbeat: ReturnType<typeof setInterval>
  readonly #abort = new AbortController()
  #cost: bigint | undefined
  #isSettling = false
  #isDeferred = false
  #resolve: (costs: Promise<Wire.Costs>) => void = () => {}
  /** The outcome, once `settle` was called and is durable. */
  readonly settled: Promise<Wire.Costs> = new Promise((resolve) => {
    this.#resolve = resolve
  })

  constructor(options: {
    ledger: Ledger
    reservationId: ReservationId
    channel: Channel.Channel
    quote: bigint
  }) {
    this.#ledger = options.ledger
    this.#reservationId = options.reservationId
    this.channelId = options.channel.id
    this.consumer = options.channel.consumer
    this.quote = options.quote
    this.signal = this.#abort.signal
    this.#heartbeat = setInterval(() => {
      // A lost lease is the provider's loss, at the capture.
      this.#ledger.renew(this.#reservationId, leaseMs).catch(() => {})
    }, heartbeatMs)
    if (typeof this.#heartbeat === 'object') this.#heartbeat.unref()
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

  /** Says that the response's body settles this payment at its end, as a metered stream does. */
  defer(): void {
    this.#isDeferred = true
  }

  get isDeferred(): boolean {
    return this.#isDeferred
  }

  /**
   * The client is gone and perhaps nobody will ever report: the lease runs out unless `settle` comes before, and what
   * ends later is not charged.
   */
  abandon(): void {
    clearInterval(this.#heartbeat)
    const timer = setTimeout(() => void this.settle(false).catch(() => {}), leaseMs)
    if (typeof timer === 'object') timer.unref()
    const stop = () => clearTimeout(timer)
    this.settled.then(stop, stop)
  }

  /** Tells the work to end: the channel closes, or nobody reads the answer. */
  abort(): void {
    this.#abort.abort()
  }

  /**
   * Ends the reservation, durably: captures what was reported or, without a report, the quote if the work `succeeded`.
   * Later calls get the first one's result.
   */
  settle(succeeded: boolean): Promise<Wire.Costs> {
    if (!this.#isSettling) {
      this.#isSettling = true
      this.#resolve(this.#capture(this.#cost ?? (succeeded ? this.quote : 0n)))
    }
    return this.settled
  }

  async #capture(actual: bigint): Promise<Wire.Costs> {
    clearInterval(this.#heartbeat)
    const result = await this.#ledger.capture(this.#reservationId, actual)
    const { charged, deposit } = result.state
    // Refused means ended before, which only another holder of this reservation can have done: it charged the cost.
    return {
      channelId: this.channelId,
      cost: result.ok ? result.captured : 0n,
      total: charged,
      remaining: deposit - charged,
    }
  }
}
