/** Reports of consumers, which sign them. */
import { Channel, Feedback, Usdc } from '@drain/core'
import { type Address, type Hex, isAddressEqual, recoverTypedDataAddress } from 'viem'
import { notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { payeeOf } from '../score/listingOf.ts'
import { freshFor } from '../signing/readAction.ts'
import { cleanReason } from './cleanReason.ts'
import { keepFeedback, noChannel } from './keepFeedback.ts'

/** As `Feedback.toJson` in `@drain/core` makes it. */
export type SentFeedback = {
  providerId: string
  outcome: Feedback.Outcome
  protocol: Feedback.Protocol
  reason?: string | undefined
  channelId?: Hex | undefined
  /** Unix seconds. */
  issuedAt?: string | undefined
  consumer?: Address | undefined
  signature?: Hex | undefined
}

export type Accepted = {
  ok: true
  /** Whether it counts for the score by now. */
  counted: boolean
  note: string
}

/**
 * Keeps a report. It counts once the chain shows that its channel has paid.
 *
 * @throws {Problem} 401 for a signature that is missing, wrong, or not of these ten minutes, 404 for an unknown provider, 409 for one that
 * was there already or is about a channel of others, 429 for too many.
 */
export async function acceptFeedback(rooms: Rooms, sent: SentFeedback): Promise<Accepted> {
  const { feedback, chainId } = await verify(rooms, sent)
  const record = await rooms.providers.get(feedback.providerId)
  // Also one that is off the list by now: else a cheater would leave it before its customers can speak.
  if (!record) throw notFound('provider with this id', 'Take it from /api/mcp/providers.')
  const { channelId = noChannel, consumer, issuedAt, reason, ...rest } = feedback
  const payee = payeeOf(record)
  const { isShown, paid } = await keepFeedback(
    rooms.database,
    {
      ...rest,
      ...{ channelId, chainId, consumer: consumer.toLowerCase() },
      reason: cleanReason(reason),
      issuedAt: Number(issuedAt) * 1_000,
    },
    { payee, now: rooms.now() },
  )
  return {
    ok: true,
    counted: paid > 0n,
    note: noteOf({ channelId, isPayee: payee !== undefined, isShown, paid }),
  }
}

function noteOf(kept: { channelId: string; isPayee: boolean; isShown: boolean; paid: bigint }): string {
  if (kept.channelId === noChannel) return 'It names no channel: it is shown and not counted.'
  if (!kept.isPayee)
    return 'The provider has not proven an address that is paid: it is shown and not counted.'
  if (kept.paid > 0n) return `It counts with the ${Usdc.display(kept.paid)} that its channel has paid.`
  return kept.isShown
    ? 'It counts as soon as the chain shows that its channel has paid.'
    : 'It counts as soon as the chain shows its channel, and that it has paid.'
}

/** @throws {Problem} 401 */
async function verify(
  { settings, now }: Rooms,
  { consumer, signature, ...sent }: SentFeedback,
): Promise<{ feedback: Feedback.Feedback; chainId: number }> {
  if (!consumer || !signature || sent.issuedAt === undefined) {
    throw new Problem(401, 'signature_missing', 'Reports are signed by the wallet that paid.', {
      action: 'Send consumer, issuedAt and signature, as drain-mcp’s drain_feedback does.',
    })
  }
  if (Math.abs(now() - Number(sent.issuedAt) * 1_000) > freshFor) {
    throw new Problem(401, 'signature_expired', 'The signature is not of these ten minutes.', {
      action: `Sign again with the time of now, in seconds: this server's is ${Math.floor(now() / 1_000)}.`,
    })
  }
  const { reason = '' } = sent
  const channelId =
    sent.channelId && sent.channelId !== Channel.zeroId ? Channel.parseId(sent.channelId) : undefined
  const unsigned = { ...sent, channelId, reason, issuedAt: BigInt(sent.issuedAt) }
  for (const chainId of new Set(settings.chains.map(({ deployment }) => deployment.chainId))) {
    const typedData = Feedback.typedData(unsigned, { chainId })
    const signer = await recoverTypedDataAddress({ ...typedData, signature }).catch(() => undefined)
    if (signer && isAddressEqual(signer, consumer))
      return { feedback: { ...unsigned, consumer, signature }, chainId }
  }
  const chains = settings.chains.map(({ deployment }) => deployment.chainId).join(', ')
  throw new Problem(401, 'signature_invalid', `The signature is not that of ${consumer}.`, {
    action: `Sign the Feedback typed data with the chain id of this directory: ${chains || 'it has none'}.`,
  })
}
