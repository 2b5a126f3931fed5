/** Channels that are opened with the first credential: the provider sends the consumer's authorization. */
import { Channel, GaslessOpen, type Rejection, Usdc, type Voucher } from '@drain/core'
import { type Asker, type Refusal, type RelayCode, type SchemeContext, verifyVoucher } from '@drain/provider'
import type { Hex } from 'viem'
import type { ProblemName } from '../method/problems.ts'
import type { MppRejection } from './refusals.ts'

/** A paywall will do. */
type Context = Pick<
  SchemeContext,
  'deployment' | 'provider' | 'domainSeparator' | 'lookUp' | 'secp256k1' | 'relay'
> & {
  /** Unix seconds. */
  now(): bigint
}

/**
 * Opens a channel for its first voucher, unless it is open already. The gas is spent only for a voucher that will be taken then.
 *
 * @param quote Base units that the voucher must cover.
 */
export async function relayOpening(
  context: Context,
  voucher: Voucher.Voucher,
  opening: GaslessOpen.GaslessOpen,
  quote: bigint,
  { remoteAddress }: Asker = {},
): Promise<{ txHash?: Hex | undefined } | Refusal> {
  const { deployment, provider, domainSeparator, lookUp, secp256k1, relay } = context
  if (!relay)
    return refuse('invalid_voucher_format', 'No channels are opened for others here: open it yourself.')
  const id = Channel.computeId(deployment, opening, 'relayed')
  if (id !== voucher.channelId) {
    return refuse('invalid_voucher_format', 'channelId is not the one that this authorization opens.')
  }
  const now = context.now()
  const { consumer, amount: deposit, duration } = opening
  const channel = { id, consumer, provider: opening.provider, deposit, claimed: 0n, expiry: now + duration }
  const verdict = verifyVoucher(voucher, channel, { provider, deployment, domainSeparator, now, secp256k1 })
  if (!verdict.ok) return verdict
  if (voucher.amount < quote) {
    const required = { required: quote, provided: voucher.amount }
    const cumulative = { requiredCumulative: quote, providedCumulative: voucher.amount }
    const message = `Voucher covers ${Usdc.display(voucher.amount)}, this request needs ${Usdc.display(quote)}.`
    return { rejection: { code: 'insufficient_funds', message, ...required, ...cumulative } }
  }
  const found = await lookUp(id, remoteAddress)
  if ('channel' in found || found.rejection.isPassing) return {}
  const relayed = await relay.open(GaslessOpen.toJson(opening))
  if (relayed.ok) return { txHash: relayed.txHash }
  const [code, problem] = told[relayed.code]
  const { message, retryAfterSeconds } = relayed
  return refuse(code, message, problem, retryAfterSeconds)
}

/** A refusal of the relay, as one of a payment. */
const told: Record<RelayCode, readonly [Rejection.Code, ProblemName?]> = {
  invalid_request: ['invalid_voucher_format'],
  wrong_provider: ['wrong_provider'],
  channel_terms: ['channel_terms'],
  authorization_expired: ['invalid_voucher_format', 'payment-expired'],
  invalid_signature: ['invalid_signature'],
  insufficient_balance: ['channel_not_found', 'payment-insufficient'],
  authorization_used: ['channel_not_found', 'session/transaction-reverted'],
  open_reverted: ['channel_not_found', 'session/transaction-reverted'],
  rate_limited: ['rate_limited'],
  gas_price: ['unavailable'],
  open_pending: ['unavailable'],
  unavailable: ['unavailable'],
}

function refuse(
  code: Rejection.Code,
  message: string,
  problem?: ProblemName,
  retryAfterSeconds?: number,
): Refusal {
  const rejection: MppRejection = { code, message, ...(problem && { problem }) }
  return { rejection, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }
}
