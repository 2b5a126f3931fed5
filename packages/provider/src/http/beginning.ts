/** The first half of a paid request: its voucher is taken and its quote reserved, before any work is done. */
import { type Rejection, type Voucher, Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import type { IdempotencyKey, ReservationId } from '../ledger/Ledger.ts'
import type { Admission } from './admission.ts'
import type { Asker } from './channelRequests.ts'
import { exposed } from './cors.ts'
import { SchemeNotReadyError, unbegun } from './failures.ts'
import { type BodySource, BodyUnavailableError, keyName, keyProblem, readKey } from './idempotency.ts'
import { Payment, type PaymentContext } from './Payment.ts'
import { type PlainAnswer, toResponse } from './PlainAnswer.ts'
import { createPaymentRequired } from './paymentRequired.ts'
import type { RequestHead } from './RequestHead.ts'
import type { RateLimits, Ticket } from './rateLimits.ts'
import { idempotencyMismatch, ledgerRejection, tooManyRequests } from './rejections.ts'
import { replay } from './replay.ts'
import { plainFailure, plainRefusal, problem, refusal } from './responses.ts'
import type {
  AnswerWriter,
  FundsInstrument,
  ManagedInstrument,
  Refusal,
  VoucherInstrument,
} from './Scheme.ts'
import { inSteps, type RequestQuote } from './StreamQuote.ts'
import type { Found, Schemes } from './schemes.ts'

/** A request's payment, or the response that refuses it, or answers it again. */
export type Beginning =
  | { ok: true; payment: Payment }
  | {
      ok: false
      readonly response: Response
      /** The same, where there is nothing more to it, for servers that take it as it is. */
      plain?: PlainAnswer | undefined
      /** Whether it is the answer to what was asked, and no refusal. */
      readonly isAnswer?: true | undefined
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
  /** Ways to pay beside the headers. */
  schemes?: Schemes | undefined
  /** Asked once a voucher is verified, before the ledger. */
  limits: RateLimits
  /** Told how each request began. */
  began(beginning: Beginning): void
  log(message: string): void
  /** Told what else went wrong. */
  failed(what: string, error: unknown): void
}): Begin {
  const { context, maxBodyBytes, admit, originOf, schemes, limits, began, log, failed } = options
  const { ledger, lines } = context
  const paymentRequired = createPaymentRequired(options.offerAt, schemes)

  async function reserve(
    request: RequestHead,
    asked: RequestQuote,
    { body, remoteAddress }: RequestOptions,
  ): Promise<Beginning> {
    const quote = inSteps(asked)
    let found: Found
    if (schemes) {
      const readiness = schemes.ready()
      if (readiness) {
        await readiness.catch((cause) => {
          throw new SchemeNotReadyError('not ready', { cause })
        })
      }
      found = schemes.find(request, originOf(request))
    } else found = Wire.parseVoucher(request.headers)
    const refuse = (reason: Refusal, writer?: AnswerWriter) =>
      refused(paymentRequired.refuse({ request, origin: originOf(request), quote }, reason, writer))
    if (!found.ok) {
      if ('refused' in found) return refuse(found.refused, found.writer)
      if (found.code !== 'voucher_required')
        return refuse({ rejection: { code: found.code, message: found.message } })
      return refused(paymentRequired.ask({ request, origin: originOf(request), quote }, found.message))
    }
    const instrument = 'instrument' in found ? found.instrument : undefined
    if (instrument?.kind === 'managed') return manage(instrument, { remoteAddress }, refuse)
    const keyText = request.headers.get(keyName)
    const malformed = keyText === null ? undefined : keyProblem(keyText)
    if (malformed) return refused(problem(400, 'invalid_request', `${keyName} ${malformed}.`))
    const keySource = { maxBytes: maxBodyBytes, source: body }
    if (instrument?.kind === 'funds') {
      const misfit = keyText === null ? undefined : await instrument.check?.(quote.most)
      if (misfit) return refuse(misfit, instrument.writer)
      const read = keyText === null ? undefined : await readKey(request, keyText, keySource)
      if (read && !read.ok) return refused(read.response)
      const refuseLater = (rejection: Rejection.Rejection) =>
        paymentRequired.refuse(
          { request, origin: originOf(request), quote },
          { rejection },
          instrument.writer,
        )
      return takeHold(instrument, quote.most, read?.key, { remoteAddress }, refuse, refuseLater)
    }
    const writer = instrument?.writer
    if (instrument?.prepare) {
      const unprepared = await instrument.prepare(quote.first, { remoteAddress })
      if (unprepared) return refuse(unprepared, writer)
    }
    const { voucher } = 'voucher' in found ? found : (instrument as VoucherInstrument)
    const admission = await admit(voucher, remoteAddress)
    if (!admission.ok) return refuse(admission, writer)
    const { channelId } = admission.channel
    // Whoever has seen a voucher can send it again, with a slow body: neither that nor an old answer takes a ticket.
    const read = keyText === null ? undefined : await readKey(request, keyText, keySource)
    if (read && !read.ok) return refused(read.response)
    const key = read?.key
    const given = key && (await answered(channelId, key, writer))
    if (given) return given
    const taken = limits.take(channelId)
    if (!taken.ok) {
      const { retryAfterSeconds } = taken
      return writer
        ? refuse({ rejection: tooManyRequests, retryAfterSeconds }, writer)
        : refused(plainRefusal(tooManyRequests, undefined, retryAfterSeconds))
    }
    const { ticket } = taken
    try {
      const beginning = await reserveAdmitted(quote, admission, key, ticket, refuse, writer)
      if (beginning.ok && limits.countsConcurrent) beginning.payment.settled.then(ticket.end, ticket.end)
      else if (!beginning.ok) ticket.end()
      return beginning
    } catch (error) {
      ticket.end()
      throw error
    }
  }

  async function reserveAdmitted(
    quote: ReturnType<typeof inSteps>,
    { channel, voucher }: Extract<Admission, { ok: true }>,
    key: IdempotencyKey | undefined,
    ticket: Ticket,
    refuse: (reason: Refusal, writer?: AnswerWriter) => Beginning,
    writer: AnswerWriter | undefined,
  ): Promise<Beginning> {
    const { channelId } = channel
    const reserved = await ledger.reserve({ channel, voucher, quote: quote.first, key })
    if (!reserved.ok) {
      // Nothing was burned by any other refusal: what anybody can repeat takes nothing of its channel's share.
      if (reserved.code !== 'insufficient_funds') ticket.giveBack()
      // A request of the same key and voucher may have ended since.
      const given = key && (await answered(channelId, key, writer))
      return given ?? refuse({ rejection: ledgerRejection(reserved.code, reserved.state, quote) }, writer)
    }
    // The voucher may be what a stream waits for.
    lines.wake(channelId)
    const { reservationId, state } = reserved
    const given = key && (await answeredMeanwhile(channelId, key, reservationId, writer))
    if (given) return given
    return {
      ok: true,
      payment: new Payment(context, {
        reservationId,
        consumer: channel.consumer,
        quote,
        account: state,
        keepsAnswer: key !== undefined,
        writer,
      }),
    }
  }

  /** A request about the payment itself. */
  async function manage(
    instrument: ManagedInstrument,
    asker: Asker,
    refuse: (reason: Refusal, writer?: AnswerWriter) => Beginning,
  ): Promise<Beginning> {
    const managed = await instrument.answer(asker)
    if (!managed.ok) return refuse(managed, instrument.writer)
    const { status, headers, body } = managed
    const all = { 'Cache-Control': 'private, no-store', ...exposed, ...headers }
    const response =
      body === undefined
        ? new Response(null, { status, headers: all })
        : Response.json(body, { status, headers: all })
    return { ok: false, response, isAnswer: true }
  }

  /** A payment that isn't on a channel: held whole, before the work starts. */
  async function takeHold(
    instrument: FundsInstrument,
    quote: bigint,
    key: IdempotencyKey | undefined,
    asker: Asker,
    refuse: (reason: Refusal, writer?: AnswerWriter) => Beginning,
    refuseLater: (rejection: Rejection.Rejection) => PlainAnswer,
  ): Promise<Beginning> {
    const { writer } = instrument
    const begun = await instrument.begin({ quote, key, asker })
    if (begun.ok) {
      const { funds } = begun
      return {
        ok: true,
        payment: new Payment(context, {
          ...{ funds, quote, keepsAnswer: key !== undefined, writer },
          refuse: refuseLater,
        }),
      }
    }
    if ('rejection' in begun) return refuse(begun, writer)
    return { ok: false, response: replay(begun.outcome, begun.costs, begun.account, writer) }
  }

  /** What a request under this key was answered before, or that it was another request. */
  async function answered(
    channelId: Hex,
    key: IdempotencyKey,
    writer: AnswerWriter | undefined,
  ): Promise<Beginning | undefined> {
    const outcome = await ledger.outcome(channelId, key.id)
    const state = outcome && (await ledger.get(channelId))
    if (!state) return undefined
    if (outcome.fingerprint !== key.fingerprint) {
      return refused(toResponse(plainFailure(idempotencyMismatch, writer)))
    }
    const { charged: total, deposit } = state
    const costs = { channelId, cost: 0n, total, remaining: deposit - total }
    return refused(replay(outcome.response, costs, state, writer))
  }

  /** Looks once more, when nobody else can begin under this key: one that ended in between is not run again. */
  async function answeredMeanwhile(
    channelId: Hex,
    key: IdempotencyKey,
    reservationId: ReservationId,
    writer: AnswerWriter | undefined,
  ): Promise<Beginning | undefined> {
    const given = await answered(channelId, key, writer)
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
      failed('a paid request failed before its work', error)
      return refused(refusal(unbegun(error)))
    }
  }

  return begin
}

function refused(answer: Response | PlainAnswer): Beginning {
  return answer instanceof Response ? { ok: false, response: answer } : new PlainRefusal(answer)
}

/** A class for its getter: V8 keeps an object with a getter of its own until the next full collection, and all that it holds. */
class PlainRefusal {
  readonly ok = false
  readonly plain: PlainAnswer

  constructor(plain: PlainAnswer) {
    this.plain = plain
  }

  get response(): Response {
    return toResponse(this.plain)
  }
}
