/** Whether a voucher may pay: everything before the ledger. */
import type { Rejection, Voucher } from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import type { Exposure } from '../chain/Exposure.ts'
import type { ChannelFacts, ChannelState, Ledger } from '../ledger/Ledger.ts'
import type { SignerRecovery } from '../verify/SignerRecovery.ts'
import * as Terms from '../verify/Terms.ts'
import {
  invalidSignature,
  type KnownChannel,
  recoverVoucherBy,
  type VerifyContext,
  verifySigned,
} from '../verify/verifyVoucher.ts'
import { lookupRejections } from './rejections.ts'

/** A voucher that was admitted, with its channel, or why not. */
export type Admission =
  | {
      ok: true
      /** With the session key's proof, once that is known. */
      channel: ChannelFacts
      /** As the contract takes it: hand this one to the ledger, not the one that came. */
      voucher: Voucher.Voucher
    }
  | { ok: false; rejection: Rejection.Rejection }

/** A channel, with when the ledger first accepted it (Unix seconds), or why there is none. */
export type Found = { channel: KnownChannel; firstSeen?: bigint } | { rejection: Rejection.Rejection }

export function createAdmission(options: {
  ledger: Ledger
  channels: Pick<ChannelReader, 'get' | 'now'>
  terms: Terms.Terms
  /** None where no open can go away. */
  exposure?: Exposure | undefined
  verification: Omit<VerifyContext, 'now'>
  signers: Pick<SignerRecovery, 'recover'>
  /** Told how long it took to recover a signer, in seconds. */
  verified(seconds: number): void
}) {
  const { ledger, channels, terms, exposure, verification, signers, verified } = options

  /** A channel that the ledger accepted once needs no node: it has not changed, or this provider changed it. */
  function accepted(
    state: ChannelState | undefined,
  ): Required<Extract<Found, { channel: unknown }>> | undefined {
    if (!state || state.status === 'closed') return undefined
    return { channel: { ...state, id: state.channelId }, firstSeen: state.firstSeen }
  }

  async function lookUp(channelId: Hex, remoteAddress?: string): Promise<Found> {
    return accepted(await ledger.get(channelId)) ?? (await read(channelId, remoteAddress))
  }

  async function read(channelId: Hex, remoteAddress: string | undefined): Promise<Found> {
    const lookup = await channels.get(channelId, remoteAddress)
    if (lookup.status === 'found') return { channel: lookup.channel }
    return { rejection: lookupRejections[lookup.status] }
  }

  async function admit(voucher: Voucher.Voucher, remoteAddress?: string): Promise<Admission> {
    const { channelId } = voucher
    const known = accepted(await ledger.glance(channelId))
    const startedAt = performance.now()
    const recovered = recoverVoucherBy(signers, voucher, verification)
    const signed = recovered instanceof Promise ? await recovered : recovered
    verified((performance.now() - startedAt) / 1_000)
    // The chain is asked only about channels for which somebody has signed something.
    if (!known && !signed) return invalidSignature
    const found: Found = known ?? (await read(channelId, remoteAddress))
    if ('rejection' in found) return { ok: false, rejection: found.rejection }
    const now = channels.now()
    let verdict = verifySigned(voucher, signed, found.channel, { ...verification, now })
    if (verdict === invalidSignature && signed && known && !known.channel.proof) {
      // Another process may have been shown the session key's proof.
      const { proof } = (await ledger.get(channelId)) ?? {}
      verdict = verifySigned(voucher, signed, { ...known.channel, proof }, { ...verification, now })
    }
    if (!verdict.ok) return verdict
    const refused = Terms.judge(terms, verdict.channel, found.firstSeen, now)
    if (refused) return { ok: false, rejection: refused }
    const { amount } = voucher
    const exposed = exposure && (await exposure.judge(verdict.channel, amount, found.firstSeen, now))
    if (exposed) return { ok: false, rejection: exposed }
    return { ok: true, channel: { ...verdict.channel, channelId }, voucher: verdict.voucher }
  }

  return { admit, lookUp }
}
