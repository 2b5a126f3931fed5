import {
  ChannelGoneError,
  LimitExceededError,
  PaymentRejectedError,
  PaymentUnknownError,
  Usdc,
} from '@drain/core'
import type { Address } from 'viem'
import type { Answered, ChannelBook, Slip } from './ChannelBook.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import { delay, unlessAborted } from './delay.ts'
import type { Events } from './events.ts'
import type { GoneChannels } from './goneChannels.ts'
import * as Limits from './Limits.ts'
import { meterStream } from './meterStream.ts'
import { type Price, type PriceList, whole } from './PriceList.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { createRaising } from './raising.ts'
import { discard } from './readJson.ts'
import { wireOf } from './records.ts'
import { passRedirect } from './redirects.ts'
import type { Take } from './take.ts'
import type { Wire, WireRefusal } from './Wire.ts'

/** Sends a request with a payment of at most its price, and keeps count of what came of it. */
export type Pay = (
  request: ReplayableRequest,
  provider: Address,
  price: Price,
  prices: PriceList,
  wire: Wire,
  /** What it is sent with, where that isn't the client's own. */
  fetch?: typeof globalThis.fetch,
) => Promise<Response>

/** What one request has gone through. Each way to try again is taken once. */
type Course = {
  request: ReplayableRequest
  provider: Address
  prices: PriceList
  price: Price
  wire: Wire
  fetch: typeof globalThis.fetch
  /** The most that the caller has confirmed for it. */
  confirmed: bigint
  /** Under which a provider keeps the answer. */
  idempotencyKey: string
  corrected: boolean
  renewed: boolean
  renumbered: boolean
  proven: boolean
  refreshed: boolean
  /** An answer was lost on the way, or came and is no refusal: what was sent may have been charged. */
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

  /** What a request is sent with. */
  async function write(course: Course, slip: Slip): Promise<Headers> {
    const { request, wire, idempotencyKey } = course
    const headers = new Headers(request.headers)
    const record = book.get(slip.channelId)
    const withProof = course.proven || record.session?.isKnown === false
    wire.writeVoucher(headers, await signer.signVoucher(record, slip, { withProof }), request)
    request.signal?.throwIfAborted()
    if (!headers.has(keyName)) headers.set(keyName, idempotencyKey)
    return headers
  }

  /** The answer to one attempt, or `undefined` when the connection was lost, or the answer is still to come. */
  async function attempt(course: Course, headers: Headers, isLast: boolean): Promise<Response | undefined> {
    const { request, prices, fetch, wasLost } = course
    let response: Response
    try {
      // Never past a redirect: it would carry the voucher along.
      response = await fetch(request.url.href, request.init({ headers, redirect: 'manual' }))
    } catch (error) {
      course.wasLost = true
      if (wasLost || isLast || !prices.has('idempotency') || request.signal?.aborted) throw error
      return undefined
    }
    if (response.status !== 409 || !wasLost || isLast) return response
    await discard(response)
    await delay(inFlightDelay, request.signal)
    return undefined
  }

  /** Sends a request; once more, with the same key and amount, when the connection is lost. */
  async function send(course: Course, given: Slip): Promise<{ response: Response; slip: Slip }> {
    const { request } = course
    let slip = given
    try {
      for (let tries = 1; ; tries++) {
        const headers = await write(course, slip)
        const response = await attempt(course, headers, tries === inFlightTries)
        if (response) return { response, slip }
        slip = await book.repeat(slip)
      }
    } catch (error) {
      await giveBack(course, slip)
      if (!course.wasLost || request.signal?.aborted) throw error
      throw new PaymentUnknownError(request.url.origin, keyOf(course), error)
    }
  }

  /** The request was not refused for its payment: its place is given back when its cost is known. */
  async function accept(course: Course, slip: Slip, response: Response): Promise<Response> {
    const { request, wire } = course
    const { channelId } = slip
    if (wire.outcome(response) === 'unserved') {
      await giveBack(course, slip)
      return response
    }
    course.wasLost = true
    const costs = wire.readCosts(response, request)
    const told = costs?.channelId === channelId ? costs : undefined
    const isRepeat = response.headers.get('Idempotency-Replayed') === 'true'
    await learnProven(slip)

    async function end(
      of: Slip,
      reported: Omit<Answered, 'isRepeat'> | undefined,
      left: boolean,
    ): Promise<void> {
      if (!reported) return left ? book.leave(of) : book.lose(of)
      const cost = await book.settle(of, { ...reported, isRepeat })
      const { origin, href: url } = request.url
      const { method } = request
      const idempotencyKey = keyOf(course)
      events.emit('paid', { channelId, origin, method, url, cost: Usdc.format(cost), idempotencyKey })
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
    return passRedirect(request, response)
  }

  /** The provider took a voucher of the session key, so it has seen the proof. */
  async function learnProven({ channelId }: Slip): Promise<void> {
    if (book.get(channelId).session?.isKnown !== false) return
    // The answer isn't lost for that: where it isn't remembered, the proof goes along once more.
    await book.setKnown(channelId, true).catch(() => {})
  }

  /**
   * What to send after a 402: another slip, or none when the next channel is due.
   *
   * @throws {PaymentRejectedError | LimitExceededError}
   */
  async function afterRefusal(slip: Slip, refusal: WireRefusal, course: Course): Promise<Slip | undefined> {
    const { code = 'voucher_required', isStale, required } = refusal
    const { request } = course
    if (isStale && !course.refreshed) {
      course.refreshed = true
      const isDearer = required !== undefined && required > slip.quote
      return isDearer ? correct(slip, refusal, course) : book.repeat(slip)
    }
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

  async function correct(slip: Slip, refusal: WireRefusal, course: Course): Promise<Slip | undefined> {
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
      // Too little is left of it: what there is comes back before the next one is opened.
      await book.setRefused(slip.channelId, next)
      return undefined
    }
    const { delivered, lost } = book.get(slip.channelId).tally
    if (next === 'undelivered') {
      if (delivered > 0n && !course.renewed) {
        // Requests may have been charged whose answers this client, or one before it, never got. It is closed, and the next begins.
        course.renewed = true
        await book.setRefused(slip.channelId, next)
        return undefined
      }
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
    const asking = Limits.assertConfirmed(limits, { kind: 'request', origin, provider, method, url, amount })
    await unlessAborted(asking, request.signal)
    course.confirmed = price.most
  }

  /** Pays from one channel; `undefined` when another one is to be used. */
  async function payFrom(first: Slip, course: Course): Promise<Response | undefined> {
    let slip = first
    for (;;) {
      const sent = await send(course, slip)
      slip = sent.slip
      let next: Slip | undefined
      try {
        if (course.wire.outcome(sent.response) !== 'refused') return await accept(course, slip, sent.response)
        const refusal = await course.wire.readRefusal(sent.response, course.request)
        await discard(sent.response)
        next = await afterRefusal(slip, refusal, course)
      } catch (error) {
        await giveBack(course, slip)
        throw error
      }
      if (!next) {
        await giveBack(course, slip)
        await (await loadGoneChannels()).judge(slip.channelId)
        return undefined
      }
      slip = next
    }
  }

  /** A refused request costs nothing, unless an answer to it was lost before. */
  function giveBack(course: Course, slip: Slip): Promise<void> {
    return course.wasLost ? book.lose(slip) : book.release(slip)
  }

  return async (request, provider, price, prices, wire, sendWith = fetch) => {
    const course: Course = {
      ...{ request, provider, prices, price, wire, fetch: sendWith },
      confirmed: -1n,
      idempotencyKey: crypto.randomUUID(),
      ...{ corrected: false, renewed: false, renumbered: false, proven: false, refreshed: false },
      wasLost: false,
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
      const slip = await take(need, request.signal)
      if (wireOf(book.get(slip.channelId)) !== wire.name) {
        // Where it isn't remembered, a later request is asked for its payment first.
        await book.setWire(origin, wire.name).catch(() => {})
      }
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

/**
 * What the voucher must cover in all. Providers of the original protocol say only what is missing; one that says nothing, but
 * names a higher price, lacks the difference.
 */
function requiredInAll(
  slip: Slip,
  quote: bigint,
  { requiredCumulative, provided }: WireRefusal,
): bigint | undefined {
  if (requiredCumulative !== undefined) return requiredCumulative
  if (provided === undefined && quote <= slip.quote) return undefined
  return slip.amount - (provided ?? slip.quote) + quote
}

/** Not of an answer that is no success: it may be a redirect, or have a status that no made-up response can have. */
function isEventStream({ ok, body, headers }: Response): boolean {
  return ok && body !== null && /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')
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
