import { Channel, type Rejection, Signature, Usdc, Voucher } from '@drain/core'
import type { Address, Hex } from 'viem'

/** A voucher that the contract would accept, or why not. */
export type Verdict = { ok: true; channel: Channel.Channel } | { ok: false; rejection: Rejection.Rejection }

/**
 * Judges a voucher by what is known of its channel. Pure: no clock, no chain, no memory of earlier vouchers (the ledger
 * has that). Accepts exactly the signatures that the contract accepts.
 */
export function verifyVoucher(
  voucher: Voucher.Voucher,
  channel: Channel.Channel | undefined,
  context: {
    provider: Address
    domainSeparator: Hex
    /** Unix seconds. */
    now: bigint
    secp256k1?: Signature.Secp256k1 | undefined
  },
): Verdict {
  if (!channel) {
    return refuse('channel_not_found', 'This channel does not exist on chain. Open a channel first.')
  }
  if (channel.provider.toLowerCase() !== context.provider.toLowerCase()) {
    return refuse(
      'wrong_provider',
      'This channel pays another provider. Open one to the provider named in the 402.',
    )
  }
  const digest = Voucher.digest(voucher, context.domainSeparator)
  if (!Signature.isValid(digest, voucher.signature, channel.consumer, context.secp256k1)) {
    return refuse(
      'invalid_signature',
      'The voucher is not signed by the channel’s consumer for this chain and contract.',
    )
  }
  if (Channel.isExpired(channel, context.now)) {
    return refuse('channel_expired', 'This channel has expired. Open a new one.')
  }
  if (voucher.amount > channel.deposit) {
    return refuse(
      'exceeds_deposit',
      `The voucher promises ${Usdc.display(voucher.amount)}, the channel holds ${Usdc.display(channel.deposit)}.`,
    )
  }
  return { ok: true, channel }
}

function refuse(code: Rejection.Code, message: string): Verdict {
  return { ok: false, rejection: { code, message } }
}
