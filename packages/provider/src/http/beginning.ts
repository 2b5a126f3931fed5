/** The first half of a paid request: its voucher is taken and its quote reserved, before any work is done. */
import { type Rejection, type Voucher, Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import type { IdempotencyKey, ReservationId } from '../ledger/Ledger.ts'
import type { Admission } from './admission.ts'
import { type BodySource, BodyUnavailableError, keyName, keyProblem, readKey } from './idempotency.ts'
import { Payment, type PaymentContext } from './Payment.ts'
import { type PlainAnswer, toResponse } from './PlainAnswer.ts'
import { createPaymentRequired } from './paymentRequired.ts'
import type { RequestHead } from './RequestHead.ts'
import type { RateLimits, Ticket } from './rateLimits.ts'
import { idempotencyMismatch, ledgerRejection, tooManyRequests } from './rejections.ts'
import { replay } from './replay.ts'
import { plainRefusal, problem, refusal } from './responses.ts'
import { inSteps, type RequestQuote } from './StreamQuote.ts'

/** A request's payment, or the response that refuses it, or answers it again. */
export type Beginning =
  | { ok: true; payment: Payment }
  | {
      ok: false
      readonly response: Response
      /** The same, where there is nothing more to it, for servers that take it as it is. */
      plain?: PlainAnswer | undefined
    }

/** What a paywall can't read from a request itself. */
export type RequestOptions = {
  /**
   * The request's body, for its `Idempotency-Key`: needed when it was read before or is not in the `Request`. A function is
   * called for requests that have a key.
   */
  body?: BodySource | undefined
  /** Who asks. Trap: leave it out behind a proxy, unless it is the client's true address. */
  remoteAddress?: string | undefined
}

/** Begins a paid request. Never throws. */
export type Begin = (
  request: RequestHead,
  quote: RequestQuote,
  options?: RequestOptions,
) => Promise<Beginning>

export function createBegin(options: {
  context: PaymentContext
  /** The longest body of a request with an `Idempotency-Key`. */
  maxBodyBytes: number
  admit(voucher: Voucher.Voucher, remoteAddress?: string): Promise<Admission>
  originOf(request: RequestHead): string
  offerAt(origin: string): Wire.Offer
  /** Asked once a voucher is verified, before the ledger. */
  limits: RateLimits
  /** Told how each request began. */
  began(beginning: Beginning): void
  log(message: string): void
}): Begin {
  const { context, maxBodyBytes, admit, originOf, limits, began, log } = options
  const { ledger, lines } = context
  const paymentRequired = createPaymentRequired(options.offerAt)

  async function reserve(
    request: RequestHead,
    asked: RequestQuote,
    { body, remoteAddress }: RequestOptions,
  ): Promise<Beginning> {
    const refuse = (rejection: Rejection.Rejection) =>
      refused(paymentRequired.refuse(originOf(request), rejection))
    const quote = inSteps(asked)
    const parsed = Wire.parseVoucher(request.headers)
    if (!parsed.ok) {
      if (parsed.code !== 'voucher_required') return refuse({ code: parsed.code, message: parsed.message })
      return refused(paymentRequired.ask(originOf(request), parsed.message, quote.most))
    }
    const keyText = request.headers.get(keyName)
    const malformed = keyText === null ? undefined : keyProblem(keyText)
    if (malformed) return refused(problem(400, 'invalid_request', `${keyName} ${malformed}.`))
    const admission = await admit(parsed.voucher, remoteAddress)
    if (!admission.ok) return refuse(admission.rejection)
    const { channelId } = admission.channel
    // Whoever has seen a voucher can send it again, with a slow body: neither that nor an old answer takes a ticket.
    const read =
      keyText === null ? undefined : await readKey(request, keyText, { maxBytes: maxBodyBytes, source: body })
    if (read && !read.ok) return refused(read.response)
    const key = read?.key
    const given = key && (await answered(channelId, key))
    if (given) return refused(given)
    const taken = limits.take(channelId)
    if (!taken.ok) return refused(plainRefusal(tooManyRequests, undefined, taken.retryAfterSeconds))
    const { ticket } = taken
    try {
      const beginning = await reserveAdmitted(request, quote, admission, key, ticket)
      if (beginning.ok && limits.countsConcurrent) beginning.payment.settled.then(ticket.end, ticket.end)
      else if (!beginning.ok) ticket.end()
      return beginning
    } catch (error) {
      ticket.end()
      throw error
    }
  }

  async function reserveAdmitted(
    request: RequestHead,
    quote: ReturnType<typeof inSteps>,
    { channel, voucher }: Extract<Admission, { ok: true }>,
    key: IdempotencyKey | undefined,
    ticket: Ticket,
  ): Promise<Beginning> {
    const refuse = (rejection: Rejection.Rejection) =>
      refused(paymentRequired.refuse(originOf(request), rejection))
    const { channelId } = channel
    const reserved = await ledger.reserve({ channel, voucher, quote: quote.first, key })
    if (!reserved.ok) {
      // Nothing was burned by any other refusal: what anybody can repeat takes nothing of its channel's share.
      if (reserved.code !== 'insufficient_funds') ticket.giveBack()
      // A request of the same key and voucher may have ended since.
      const given = key && (await answered(channelId, key))
      return given ? refused(given) : refuse(ledgerRejection(reserved.code, reserved.state, quote))
    }
    // The voucher may be what a stream waits for.
    lines.wake(channelId)
    const { reservationId, state } = reserved
    const given = key && (await answeredMeanwhile(channelId, key, reservationId))
    if (given) return refused(given)
    return {
      ok: true,
      payment: new Payment(context, {
        reservationId,
        consumer: channel.consumer,
        quote,
        account: state,
        keepsAnswer: key !== undefined,
      }),
    }
  }

  /** What a request under this key was answered before, or that it was another request. */
  async function answered(channelId: Hex, key: IdempotencyKey): Promise<Response | undefined> {
    const outcome = await ledger.outcome(channelId, key.id)
    if (!outcome) return undefined
    if (outcome.fingerprint !== key.fingerprint) return refusal(idempotencyMismatch)
    const state = await ledger.get(channelId)
    const total = state?.charged ?? 0n
    return replay(outcome.response, {
      channelId,
      cost: 0n,
      total,
      remaining: (state?.deposit ?? total) - total,
    })
  }

  /** Looks once more, when nobody else can begin under this key: one that ended in between is not run again. */
  async function answeredMeanwhile(
    channelId: Hex,
    key: IdempotencyKey,
    reservationId: ReservationId,
  ): Promise<Response | undefined> {
    const given = await answered(channelId, key)
    if (given) await ledger.release(reservationId)
    return given
  }

  async function begin(
    request: RequestHead,
    quote: RequestQuote,
    requestOptions: RequestOptions = {},
  ): Promise<Beginning> {
    const beginning = await tryToBegin(request, quote, requestOptions)
    began(beginning)
    return beginning
  }

  async function tryToBegin(
    request: RequestHead,
    quote: RequestQuote,
    requestOptions: RequestOptions,
  ): Promise<Beginning> {
    try {
      return await reserve(request, quote, requestOptions)
    } catch (error) {
      if (error instanceof BodyUnavailableError) {
        log(error.message)
        return refused(problem(500, 'internal_error', 'The request failed and is not charged.', 'api_error'))
      }
      const what = error instanceof ChainUnavailableError ? 'chain' : 'ledger'
      return refused(refusal({ code: 'unavailable', message: `The ${what} is out of reach.` }))
    }
  }

  return begin
}

function refused(answer: Response | PlainAnswer): Beginning {
  if (answer instanceof Response) return { ok: false, response: answer }
  return {
    ok: false,
    plain: answer,
    get response() {
      return toResponse(answer)
    },
  }
}
