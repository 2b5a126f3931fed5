import {
  ChannelGoneError,
  LimitExceededError,
  PaymentRejectedError,
  PaymentUnknownError,
  UntrustedProviderError,
  Usdc,
} from '@drain/core'
import type { Address } from 'viem'
import type { Answered, ChannelBook, Slip } from './ChannelBook.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import { delay } from './delay.ts'
import type { Events } from './events.ts'
import type { GoneChannels } from './goneChannels.ts'
import * as Limits from './Limits.ts'
import { meterStream } from './meterStream.ts'
import { type Price, type PriceList, whole } from './PriceList.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { createRaising } from './raising.ts'
import { discard } from './readJson.ts'
import type { Take } from './take.ts'
import type { Wire } from './Wire.ts'

/** Sends a request with a payment of at most its price, and keeps count of what came of it. */
export type Pay = (
  request: ReplayableRequest,
  provider: Address,
  price: Price,
  prices: PriceList,
  wire: Wire,
) => Promise<Response>

/** What one request has gone through. Each way to try again is taken once. */
type Course = {
  request: ReplayableRequest
  provider: Address
  prices: PriceList
  price: Price
  wire: Wire
  /** The most that the caller has confirmed for it. */
  confirmed: bigint
  /** Under which a provider keeps the answer. */
  idempotencyKey: string
  corrected: boolean
  renewed: boolean
  renumbered: boolean
  proven: boolean
  /** An answer was lost on the way: what was sent may have been charged. */
  wasLost: boolean
}

/** How often and how long to wait for an answer that is under way for a request whose connection was lost, in milliseconds. */
const inFlightTries = 60
const inFlightDelay = 1_000

export function createPay(options: {
  fetch: typeof globalThis.fetch
  signer: ChannelSigner
  book: ChannelBook
  take: Take
  loadGoneChannels: () => Promise<GoneChannels>
  limits: Limits.Limits
  events: Events
}): Pay {
  const { fetch, signer, book, take, loadGoneChannels, limits, events } = options

  async function attempt(course: Course, slip: Slip): Promise<Response> {
    const { request, wire, idempotencyKey } = course
    const headers = new Headers(request.headers)
    try {
      const record = book.get(slip.channelId)
      const withProof = course.proven || record.session?.isKnown === false
      wire.writeVoucher(headers, await signer.signVoucher(record, slip, { withProof }))
      request.signal?.throwIfAborted()
    } catch (error) {
      await book.release(slip)
      throw error
    }
    if (!headers.has(keyName)) headers.set(keyName, idempotencyKey)
    try {
      // Never past a redirect: it would carry the voucher along.
      return await fetch(request.url.href, request.init({ headers, redirect: 'manual' }))
    } catch (error) {
      throw new LostError(error)
    }
  }

  /** Sends a request; once more, with the same key and amount, when the connection is lost. */
  async function send(course: Course, given: Slip): Promise<{ response: Response; slip: Slip }> {
    const { request, prices } = course
    let slip = given
    try {
      for (let tries = 1; ; tries++) {
        try {
          const response = await attempt(course, slip)
          const isInFlight = response.status === 409 && course.wasLost && tries < inFlightTries
          if (!isInFlight) return { response, slip }
          await discard(response)
          await delay(inFlightDelay, request.signal)
        } catch (error) {
          const canRepeat = !course.wasLost && prices.has('idempotency') && !request.signal?.aborted
          if (!(error instanceof LostError) || !canRepeat) throw error
          course.wasLost = true
        }
        slip = await book.repeat(slip)
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error
      await book.lose(slip)
      if (request.signal?.aborted) throw error.cause
      throw new PaymentUnknownError(request.url.origin, keyOf(course), error.cause)
    }
  }

  /** The request was not refused for its payment: its place is given back when its cost is known. */
  async function accept(course: Course, slip: Slip, response: Response): Promise<Response> {
    const { request, wire } = course
    const { channelId } = slip
    if (isRefusedOtherwise(response, wire)) {
      // Unless an answer was lost before: that one may have been charged.
      await (course.wasLost ? book.lose(slip) : book.release(slip))
      return response
    }
    const costs = wire.readCosts(response)
    const told = costs?.channelId === channelId ? costs : undefined
    const isRepeat = response.headers.get('Idempotency-Replayed') === 'true'
    await learnProven(slip)

    async function end(
      of: Slip,
      reported: Omit<Answered, 'isRepeat'> | undefined,
      left: boolean,
    ): Promise<void> {
      const before = book.get(channelId).tally.charged
      if (reported) await book.settle(of, { ...reported, isRepeat })
      else if (left) await book.leave(of)
      else await book.lose(of)
      if (!reported) return
      const { origin, href: url } = request.url
      const cost = isRepeat ? book.get(channelId).tally.charged - before : reported.cost
      events.emit('paid', { channelId, origin, method: request.method, url, cost: Usdc.format(cost) })
    }

    if (isEventStream(response)) {
      const raising = createRaising({
        fetch,
        signer,
        book,
        slip,
        price: course.price,
        origin: request.url.origin,
      })
      return meterStream(response, channelId, {
        onContent: raising.received,
        onNeedVoucher: raising.raise,
        async onEnd(receipt, left) {
          const last = await raising.stop()
          // Aborting the request is leaving it, too.
          const isLeft = left || request.signal?.aborted === true
          await end(last, receipt ?? told, isLeft && raising.hasContent)
        },
      })
    }
    await end(slip, told, false)
    if (isRedirect(response) && request.redirect !== 'manual') {
      await discard(response)
      const to = response.headers.get('location')
      throw new UntrustedProviderError(
        `${request.url.origin} redirects a paid request${to ? ` to ${to}` : ''}; the payment did not go there.`,
        'Call the final address directly, if you trust it.',
      )
    }
    return response
  }

  /** The provider took a voucher of the session key, so it has seen the proof. */
  async function learnProven({ channelId }: Slip): Promise<void> {
    if (book.get(channelId).session?.isKnown === false) await book.setKnown(channelId, true)
  }

  /**
   * What to send after a 402: another slip, or none when the next channel is due.
   *
   * @throws {PaymentRejectedError | LimitExceededError}
   */
  async function afterRefusal(slip: Slip, response: Response, course: Course): Promise<Slip | undefined> {
    const refusal = course.wire.readRejection(response)
    const { code = 'voucher_required' } = refusal
    const { request } = course
    if (code === 'insufficient_funds' && !course.corrected) return correct(slip, refusal, course)
    const goneChannels = await loadGoneChannels()
    if (code === 'channel_not_found' && (await goneChannels.isYetToBeSeen(slip.channelId, request.signal))) {
      return book.repeat(slip)
    }
    if (code === 'invalid_nonce' && !course.renumbered) {
      // Another process that shares the channel may have counted far ahead.
      course.renumbered = true
      return book.repeat(slip)
    }
    if (code === 'invalid_signature' && book.get(slip.channelId).session && !course.proven) {
      course.proven = true
      return book.repeat(slip)
    }
    if (goneChannels.isGone(code) && !course.renewed) {
      course.renewed = true
      await goneChannels.retire(slip.channelId, code)
      return undefined
    }
    throw rejected(code, slip, request.url.origin)
  }

  async function correct(
    slip: Slip,
    refusal: ReturnType<Wire['readRejection']>,
    course: Course,
  ): Promise<Slip | undefined> {
    const { request, price, prices } = course
    const { required: quote = price.most } = refusal
    course.corrected = true
    course.price = whole(quote)
    prices.learn(request, quote)
    if (quote !== price.most) prices.outdated()
    else if (price.steps) prices.learnWhole(request)
    Limits.assertRequest(limits, quote)
    await confirm(course)
    const required = requiredInAll(slip, quote, refusal)
    const next = required === undefined ? 'unbelievable' : await book.reconcile(slip, quote, required)
    if (next === 'exhausted') {
      // Requests without an answer have used it up: the next one begins, and this one waits to be closed.
      await book.setState(slip.channelId, 'retired')
      return undefined
    }
    const { delivered, lost } = book.get(slip.channelId).tally
    if (next === 'undelivered') {
      throw new LimitExceededError(
        'undelivered',
        `${request.url.origin} wants ${Usdc.display(required ?? 0n)} in all on channel ${slip.channelId}; ${Usdc.display(delivered)} was delivered, and at most ${Usdc.display(limits.undelivered)} is paid for requests that got no answer.`,
        'Close the channel (client.close), or raise limits.undelivered.',
      )
    }
    if (next !== 'unbelievable') return next
    throw new PaymentRejectedError(
      'insufficient_funds',
      `The provider wants ${required === undefined ? 'more' : `${Usdc.display(required)} in all`}; this client got answers for ${Usdc.display(delivered)} and none for quotes of ${Usdc.display(lost)}.`,
      'Nothing more was signed. Close the channel (client.close), or ask the provider.',
    )
  }

  /** Asks the caller about a price that is higher than what it has confirmed. */
  async function confirm(course: Course): Promise<void> {
    const { request, provider, price } = course
    if (price.most <= course.confirmed) return
    const { origin, href: url } = request.url
    const { method } = request
    const amount = Usdc.format(price.most)
    await Limits.assertConfirmed(limits, { kind: 'request', origin, provider, method, url, amount })
    course.confirmed = price.most
  }

  /** Pays from one channel; `undefined` when another one is to be used. */
  async function payFrom(first: Slip, course: Course): Promise<Response | undefined> {
    let slip = first
    for (;;) {
      const sent = await send(course, slip)
      slip = sent.slip
      if (sent.response.status !== 402) return accept(course, slip, sent.response)
      await discard(sent.response)
      let next: Slip | undefined
      try {
        next = await afterRefusal(slip, sent.response, course)
      } catch (error) {
        await giveBack(course, slip)
        throw error
      }
      if (!next) {
        await giveBack(course, slip)
        return undefined
      }
      slip = next
    }
  }

  /** A refused request costs nothing, unless an answer to it was lost before. */
  function giveBack(course: Course, slip: Slip): Promise<void> {
    return course.wasLost ? book.lose(slip) : book.release(slip)
  }

  return async (request, provider, price, prices, wire) => {
    const course: Course = {
      ...{ request, provider, prices, price, wire },
      confirmed: -1n,
      idempotencyKey: crypto.randomUUID(),
      ...{ corrected: false, renewed: false, renumbered: false, proven: false, wasLost: false },
    }
    const { origin } = request.url
    Limits.assertRequest(limits, price.most)
    Limits.assertAllowed(limits, origin, provider)
    await confirm(course)
    for (;;) {
      Limits.assertRequest(limits, course.price.most)
      const need = {
        origin,
        provider,
        quote: course.price.first,
        terms: prices.terms,
        canRelay: prices.has('open'),
      }
      const slip = await take(need)
      const response = await payFrom(slip, course)
      if (response) return response
    }
  }
}

const keyName = 'Idempotency-Key'

/** The caller's own key, where it gave one. */
function keyOf({ request, idempotencyKey }: Course): string {
  return request.headers.get(keyName) ?? idempotencyKey
}

/** A request was sent, and its connection ended without an answer. */
class LostError extends Error {
  constructor(cause: unknown) {
    super('the connection was lost', { cause })
  }
}

/** A refusal of the payment layer that isn't about money (400, 409, 429, 503 …): the caller sees it, nothing was charged. */
function isRefusedOtherwise(response: Response, wire: Wire): boolean {
  return !response.ok && wire.readRejection(response).code !== undefined
}

/** What the voucher must cover in all; providers of the original protocol say only what is missing. */
function requiredInAll(
  slip: Slip,
  quote: bigint,
  { requiredCumulative, provided }: ReturnType<Wire['readRejection']>,
): bigint | undefined {
  return requiredCumulative ?? (provided === undefined ? undefined : slip.amount - provided + quote)
}

function isEventStream(response: Response): boolean {
  return response.body !== null && /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')
}

/** Browsers hide what a redirect they didn't follow says. */
function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(response.status)
}

function rejected(code: string, { channelId }: Slip, origin: string): PaymentRejectedError {
  const problem = `${origin} refuses the payment: ${code}.`
  if (code === 'channel_not_found' || code === 'channel_expired' || code === 'channel_closing') {
    return new ChannelGoneError(channelId, code, problem, 'Close the channel (client.close), then try again.')
  }
  const advice: Record<string, string> = {
    insufficient_funds: 'It asks for more a second time; nothing more was signed.',
    channel_terms: 'See the terms in its /v1/pricing, and raise limits.perChannel or limits.duration.',
    wrong_provider: 'The channel was opened for another provider address than the one that answers.',
  }
  return new PaymentRejectedError(code, problem, advice[code])
}
