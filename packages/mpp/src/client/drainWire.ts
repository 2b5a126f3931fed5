import type { ReplayableRequest, Wire, WireCosts, WireRefusal } from '@drain/consumer'
import { Channel, Headers as DrainHeaders, Rejection, type Voucher } from '@drain/core'
import { serializeCredential } from '../codec/credential.ts'
import { parseReceipt, receiptHeader } from '../codec/receipt.ts'
import { createKeptChallenges } from './KeptChallenges.ts'
import { readProblem } from './readProblem.ts'
import { headerOf, isAlike, isFor, readSessionOffers, type SessionOffer } from './sessionOffer.ts'

/**
 * Vouchers as credentials of the method `drain`, intent `session`: how `createDrainClient` pays servers that speak MPP and
 * not the DRAIN headers, from the same channels and within the same limits.
 *
 * A challenge is kept for its route while it lasts, so that the next request is paid unasked. It is answered only where it
 * came from: its realm must name the server. The credential takes the place of another `Authorization`, unless the server
 * asks for it in `Payment-Authorization`.
 *
 * @example
 * ```ts
 * const client = createDrainClient({ account, chainId: 137, limits, wires: [drainWire()] })
 * await client.fetch('https://mpp.example/joke')
 * ```
 */
export function drainWire(options: { now?: (() => number) | undefined } = {}): Wire {
  const kept = createKeptChallenges(options.now ?? Date.now)

  return {
    name: 'drain/session',
    readOffer(response, request, deployment) {
      const offers = readSessionOffers(response, request.url)
      const fitting = offers.find((offer) => isFor(offer, deployment))
      if (fitting) kept.keep(request, fitting)
      const offer = fitting ?? offers[0]
      if (!offer) return undefined
      const { provider, contract, chainId, token, amount: quote } = offer
      return { provider, contract, chainId, token, quote, features: [] }
    },
    isReady: (request) => kept.find(request) !== undefined,
    writeVoucher(headers, voucher, request) {
      const { challenge } = mustFind(request)
      const { description: _, ...echoed } = challenge
      headers.set(
        headerOf(challenge),
        serializeCredential({ challenge: echoed, payload: payloadOf(voucher) }),
      )
    },
    outcome(response) {
      if (response.status === 402 || isGone(response)) return 'refused'
      const isRefusal = !response.ok && DrainHeaders.parseRejection(response.headers).code !== undefined
      return isRefusal ? 'unserved' : 'answered'
    },
    async readRefusal(response, request): Promise<WireRefusal> {
      const told = DrainHeaders.parseRejection(response.headers)
      const fresh = refresh(response, request)
      const { code, isStale } = await readProblem(response)
      return {
        ...(Rejection.isCode(code) && { code }),
        ...(fresh && { required: fresh.amount }),
        ...told,
        // Without another challenge, the same one would be refused again.
        ...(isStale && fresh && { isStale }),
      }
    },
    readCosts: (response, request) =>
      DrainHeaders.parseCosts(response.headers) ?? readReceipt(response, kept.find(request)),
  }

  function mustFind(request: ReplayableRequest): SessionOffer {
    const offer = kept.find(request)
    if (!offer) throw new Error(`no challenge for ${request.method} ${request.url.href}`)
    return offer
  }

  /** Takes the challenge that comes with a refusal, if it wants what the last one did. */
  function refresh(response: Response, request: ReplayableRequest): SessionOffer | undefined {
    const last = mustFind(request)
    const fresh = readSessionOffers(response, request.url).find((offer) => isAlike(offer, last))
    if (fresh) kept.keep(request, fresh)
    else kept.drop(request)
    return fresh
  }
}

function payloadOf({ channelId, amount, nonce, signature }: Voucher.Voucher): Record<string, unknown> {
  return {
    action: 'voucher',
    channelId,
    cumulativeAmount: amount.toString(),
    nonce: nonce.toString(),
    signature,
  }
}

/** Gone channels are refused with 410; an application's own 410 comes with a receipt, or is no problem of this kind. */
function isGone({ status, headers }: Response): boolean {
  const isProblem = /^application\/problem\+json\b/i.test(headers.get('Content-Type') ?? '')
  return status === 410 && isProblem && !headers.has(receiptHeader)
}

/** Receipts of the drafts tell the total; what the request cost is then its price. */
function readReceipt(response: Response, offer: SessionOffer | undefined): WireCosts | undefined {
  const receipt = parseReceipt(response.headers.get(receiptHeader))
  if (!receipt || !offer) return undefined
  const { channelId, spent, cost = offer.amount.toString() } = receipt
  if (!isAmount(spent) || !isAmount(cost)) return undefined
  try {
    return { channelId: Channel.parseId(channelId), cost: BigInt(cost), total: BigInt(spent) }
  } catch {
    return undefined
  }
}

function isAmount(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9]{1,78}$/.test(value)
}
