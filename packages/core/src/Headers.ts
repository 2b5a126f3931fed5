/**
 * The wire: HTTP headers of both families. `X-DRAIN-*` is this protocol's, `X-Payment-*` is ERC-8190's; a provider reads
 * and answers both.
 */
import { type Address, type Hex, isAddress } from 'viem'
import * as Channel from './Channel.ts'
import { InvalidFormatError } from './Errors.ts'
import * as Rejection from './Rejection.ts'
import * as Voucher from './Voucher.ts'

export const names = {
  voucher: ['X-DRAIN-Voucher', 'X-Payment-Voucher'],
  cost: ['X-DRAIN-Cost', 'X-Payment-Cost'],
  total: ['X-DRAIN-Total', 'X-Payment-Total'],
  remaining: ['X-DRAIN-Remaining', 'X-Payment-Remaining'],
  channel: ['X-DRAIN-Channel', 'X-Payment-Channel'],
  error: ['X-DRAIN-Error', 'X-Payment-Error'],
  required: ['X-DRAIN-Required', 'X-Payment-Required'],
  provided: ['X-DRAIN-Provided', 'X-Payment-Provided'],
} as const

/** Signed request about a channel: `{deadline, signature}`. */
export const request = 'X-DRAIN-Request'

const offerNames = {
  protocol: 'X-Payment-Protocol',
  version: 'X-Payment-Version',
  features: 'X-Payment-Features',
  provider: 'X-Payment-Provider',
  contract: 'X-Payment-Contract',
  chain: 'X-Payment-Chain',
  signing: 'X-Payment-Signing',
  docs: 'X-Payment-Docs',
} as const

/** Header names that browsers may send to a provider. */
export const corsAllowed: readonly string[] = [
  'Content-Type',
  'Accept-Payment',
  'Authorization',
  'Idempotency-Key',
  'Payment-Authorization',
  request,
  ...names.voucher,
]

/** Header names that browsers may read from a provider. */
export const corsExposed: readonly string[] = [
  ...Object.values(names).flat(),
  ...Object.values(offerNames),
  'WWW-Authenticate',
  'Payment-Receipt',
  'Idempotency-Replayed',
  'Retry-After',
]

type Readable = Pick<globalThis.Headers, 'get'>
type Writable = Pick<globalThis.Headers, 'set'>

// --- vouchers

/** What a request carries: a voucher, or why there is none to use. */
export type ParsedVoucher =
  | { ok: true; voucher: Voucher.Voucher }
  | { ok: false; code: 'voucher_required' | 'invalid_voucher_format' | 'multiple_payments'; message: string }

/**
 * The one voucher of a request. More than one payment instrument is refused before anything happens: two voucher
 * headers that differ, a repeated header, a voucher beside `Authorization: Payment`.
 */
export function parseVoucher(headers: Readable): ParsedVoucher {
  const [drain, payment] = names.voucher.map((name) => headers.get(name))
  const text = drain ?? payment
  if (text === undefined || text === null) {
    return {
      ok: false,
      code: 'voucher_required',
      message: 'This request must be paid: send a signed voucher.',
    }
  }
  const repeated = /\}\s*,\s*\{/.test(text)
  const twoInstruments = typeof drain === 'string' && typeof payment === 'string' && drain !== payment
  if (repeated || twoInstruments || /(?:^|,)\s*payment(?:\s|$)/i.test(headers.get('Authorization') ?? '')) {
    return { ok: false, code: 'multiple_payments', message: 'Send exactly one payment with a request.' }
  }
  try {
    return { ok: true, voucher: Voucher.fromHeader(text) }
  } catch (error) {
    if (!(error instanceof InvalidFormatError)) throw error
    return { ok: false, code: 'invalid_voucher_format', message: error.message }
  }
}

/** Attaches a voucher to a request, in the DRAIN header. */
export function writeVoucher(headers: Writable, voucher: Voucher.Voucher): void {
  headers.set(names.voucher[0], Voucher.toHeader(voucher))
}

// --- costs

/** What a paid response reports, in base units. */
export type Costs = {
  channelId: Hex
  /** This request. */
  cost: bigint
  /** Charged so far on the channel. */
  total: bigint
  /** Deposit − total. */
  remaining: bigint
}

export function writeCosts(headers: Writable, costs: Costs): void {
  set(headers, names.channel, costs.channelId)
  set(headers, names.cost, costs.cost)
  set(headers, names.total, costs.total)
  set(headers, names.remaining, costs.remaining)
}

/** The reported costs, or `undefined` where a response has none or they are unreadable. */
export function parseCosts(headers: Readable): Costs | undefined {
  const channelId = get(headers, names.channel)
  const [cost, total, remaining] = [names.cost, names.total, names.remaining].map((name) =>
    integer(get(headers, name)),
  )
  if (cost === undefined || total === undefined || remaining === undefined || channelId === undefined)
    return undefined
  try {
    return { channelId: Channel.parseId(channelId), cost, total, remaining }
  } catch {
    return undefined
  }
}

// --- refusals and the offer

/** How and where to pay: what a 402 without a voucher says. Compare it with what you know; never trust it. */
export type Offer = {
  provider: Address
  contract: Address
  chainId: number
  /** URL of the signing document. */
  signing?: string | undefined
  /** URL of the documentation. */
  docs?: string | undefined
  features: readonly string[]
}

export const protocol = 'drain-v2'
export const version = '1.0'

export function writeOffer(headers: Writable, offer: Offer): void {
  headers.set(offerNames.protocol, protocol)
  headers.set(offerNames.version, version)
  headers.set(offerNames.features, offer.features.join(','))
  headers.set(offerNames.provider, offer.provider)
  headers.set(offerNames.contract, offer.contract)
  headers.set(offerNames.chain, String(offer.chainId))
  if (offer.signing) headers.set(offerNames.signing, offer.signing)
  if (offer.docs) headers.set(offerNames.docs, offer.docs)
}

/** The offer of a 402, or `undefined` when it makes none in these headers. */
export function parseOffer(headers: Readable): Offer | undefined {
  const provider = headers.get(offerNames.provider)
  const contract = headers.get(offerNames.contract)
  const chainId = Number(headers.get(offerNames.chain))
  if (
    !provider ||
    !contract ||
    !isAddress(provider, { strict: false }) ||
    !isAddress(contract, { strict: false })
  ) {
    return undefined
  }
  if (!Number.isSafeInteger(chainId) || chainId <= 0) return undefined
  return {
    provider,
    contract,
    chainId,
    signing: headers.get(offerNames.signing) ?? undefined,
    docs: headers.get(offerNames.docs) ?? undefined,
    features: (headers.get(offerNames.features) ?? '').split(',').filter(Boolean),
  }
}

/** Code and amounts of a refusal. The two families measure `required` and `provided` differently. */
export function writeRejection(headers: Writable, rejection: Rejection.Rejection): void {
  set(headers, names.error, rejection.code)
  const [drainRequired, paymentRequired] = names.required
  const [drainProvided, paymentProvided] = names.provided
  if (rejection.required !== undefined) headers.set(drainRequired, rejection.required.toString())
  if (rejection.provided !== undefined) headers.set(drainProvided, rejection.provided.toString())
  if (rejection.requiredCumulative !== undefined) {
    headers.set(paymentRequired, rejection.requiredCumulative.toString())
  }
  if (rejection.providedCumulative !== undefined) {
    headers.set(paymentProvided, rejection.providedCumulative.toString())
  }
}

/** Code and amounts of a refusal, as far as they are readable. */
export function parseRejection(headers: Readable): Partial<Omit<Rejection.Rejection, 'message'>> {
  const code = get(headers, names.error)
  const amounts = {
    required: integer(headers.get(names.required[0])),
    provided: integer(headers.get(names.provided[0])),
    requiredCumulative: integer(headers.get(names.required[1])),
    providedCumulative: integer(headers.get(names.provided[1])),
  }
  return {
    ...(Rejection.isCode(code) ? { code } : {}),
    ...Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount !== undefined)),
  }
}

function set(headers: Writable, both: readonly [string, string], value: bigint | string): void {
  for (const name of both) headers.set(name, value.toString())
}

function get(headers: Readable, both: readonly [string, string]): string | undefined {
  return headers.get(both[0]) ?? headers.get(both[1]) ?? undefined
}

function integer(text: string | null | undefined): bigint | undefined {
  return typeof text === 'string' && /^[0-9]{1,78}$/.test(text) ? BigInt(text) : undefined
}
