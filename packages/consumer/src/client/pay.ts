import {
  LimitExceededError,
  PaymentRejectedError,
  UntrustedProviderError,
  Usdc,
  Headers as Wire,
} from '@drain/core'
import type { Address } from 'viem'
import { signVoucher } from '../actions/signVoucher.ts'
import type { ChannelBook, Slip } from './ChannelBook.ts'
import type { ChannelOpener } from './ChannelOpener.ts'
import type { GoneChannels } from './goneChannels.ts'
import * as Limits from './Limits.ts'
import { meterStream } from './meterStream.ts'
import type { PriceList } from './PriceList.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import type { Wallet } from './Wallet.ts'

/** Sends a request with a payment of at most `quote`, and keeps count of what came of it. */
export type Pay = (
  request: ReplayableRequest,
  provider: Address,
  quote: bigint,
  prices: PriceList,
) => Promise<Response>

/** What one request has gone through. Each way to try again is taken once. */
type Course = {
  request: ReplayableRequest
  prices: PriceList
  quote: bigint
  corrected: boolean
  renewed: boolean
}

type Refusal = ReturnType<typeof Wire.parseRejection>

export function createPay(options: {
  fetch: typeof globalThis.fetch
  wallet: Wallet
  book: ChannelBook
  opener: ChannelOpener
  goneChannels: GoneChannels
  limits: Limits.Limits
}): Pay {
  const { fetch, wallet, book, opener, goneChannels, limits } = options

  /** Signs for a slip and sends the request with it, never past a redirect. */
  async function send(request: ReplayableRequest, slip: Slip): Promise<Response> {
    const headers = new Headers(request.headers)
    try {
      await book.save(slip.channelId)
      const { channelId, amount, nonce } = slip
      const voucher = await signVoucher(wallet.client, { ...wallet.parameters, channelId, amount, nonce })
      Wire.writeVoucher(headers, voucher)
    } catch (error) {
      book.release(slip)
      throw error
    }
    try {
      return await fetch(request.url.href, request.init({ headers, redirect: 'manual' }))
    } catch (error) {
      book.lose(slip)
      throw error
    }
  }

  /** The request was not refused for its payment: its place is given back when its cost is known. */
  async function accept(request: ReplayableRequest, slip: Slip, response: Response): Promise<Response> {
    const { channelId } = slip
    if (isRefusedOtherwise(response)) {
      book.release(slip)
      return response
    }
    const costs = Wire.parseCosts(response.headers)
    const told = costs?.channelId === channelId ? costs : undefined
    const end = async (reported: { cost: bigint; total: bigint } | undefined) => {
      if (reported) book.settle(slip, reported)
      else book.lose(slip)
      await book.save(channelId)
    }
    if (isEventStream(response)) return meterStream(response, channelId, (receipt) => end(receipt ?? told))
    await end(told)
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

  /**
   * What to send after a 402: another slip, or none when the next channel is due.
   *
   * @throws {PaymentRejectedError | LimitExceededError}
   */
  async function afterRefusal(slip: Slip, refusal: Refusal, course: Course): Promise<Slip | undefined> {
    const { code = 'voucher_required' } = refusal
    const { request } = course
    if (code === 'insufficient_funds' && !course.corrected) return correct(slip, refusal, course)
    if (code === 'channel_not_found' && (await goneChannels.isYetToBeSeen(slip.channelId, request.signal))) {
      return book.repeat(slip)
    }
    if (goneChannels.isGone(code) && !course.renewed) {
      course.renewed = true
      await goneChannels.retire(slip.channelId, code)
      return undefined
    }
    throw rejected(code, request.url.origin)
  }

  function correct(slip: Slip, refusal: Refusal, course: Course): Slip | undefined {
    const { request } = course
    const { required: quote = slip.quote } = refusal
    course.corrected = true
    course.quote = quote
    course.prices.learn(request, quote)
    if (quote !== slip.quote) course.prices.outdated()
    const required = requiredInAll(slip, quote, refusal)
    const next = required === undefined ? 'unbelievable' : book.reconcile(slip, quote, required)
    if (next === 'exhausted') {
      // Requests without an answer have used it up: the next one begins, and this one waits to be closed.
      book.setState(slip.channelId, 'retired')
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

  return async (request, provider, firstQuote, prices) => {
    const { origin } = request.url
    const course: Course = { request, prices, quote: firstQuote, corrected: false, renewed: false }
    for (;;) {
      const { quote } = course
      Limits.assertRequest(limits, quote)
      const { channelId } = await opener.channelFor({ origin, provider, quote, terms: prices.terms })
      // None, when others took the last of this channel between finding it and reserving on it.
      let slip = book.reserve(channelId, quote)
      while (slip) {
        const sent: Slip = slip
        const response = await send(request, sent)
        if (response.status !== 402) return accept(request, sent, response)
        await discard(response)
        try {
          slip = await afterRefusal(sent, Wire.parseRejection(response.headers), course)
        } catch (error) {
          book.release(sent)
          throw error
        }
        if (!slip) book.release(sent)
      }
    }
  }
}

/** A refusal of the payment layer that isn't about money (400, 409, 429, 503 …): the caller sees it, nothing was charged. */
function isRefusedOtherwise(response: Response): boolean {
  return !response.ok && Wire.parseRejection(response.headers).code !== undefined
}

/** What the voucher must cover in all; providers of the original protocol say only what is missing. */
function requiredInAll(slip: Slip, quote: bigint, refusal: Refusal): bigint | undefined {
  const { requiredCumulative, provided } = refusal
  return requiredCumulative ?? (provided === undefined ? undefined : slip.amount - provided + quote)
}

function isEventStream(response: Response): boolean {
  return response.body !== null && /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')
}

/** Browsers hide what a redirect they didn't follow says. */
function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(response.status)
}

function rejected(code: string, origin: string): PaymentRejectedError {
  const advice: Record<string, string> = {
    insufficient_funds: 'It asks for more a second time; nothing more was signed.',
    channel_terms: 'See the terms in its /v1/pricing, and raise limits.perChannel or limits.duration.',
    wrong_provider: 'The channel was opened for another provider address than the one that answers.',
  }
  return new PaymentRejectedError(code, `${origin} refuses the payment: ${code}.`, advice[code])
}
