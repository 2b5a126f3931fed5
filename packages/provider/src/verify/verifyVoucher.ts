import {
  Channel,
  type Deployment,
  type Rejection,
  SessionKey,
  type Signature,
  Usdc,
  Voucher,
} from '@drain/core'
import type { Address, Hex } from 'viem'
import type { SignerRecovery } from './SignerRecovery.ts'

/** What is known of a channel. */
export type KnownChannel = Channel.Channel & {
  /** Its session key's proof, verified before. */
  proof?: Hex | undefined
}

/** For whom, where and when vouchers are judged; the same for all of a provider's vouchers but for `now`. */
export type VerifyContext = {
  provider: Address
  deployment: Deployment.Deployment
  /** `Domain.separator(deployment)`; as bytes it is not read again for each voucher. */
  domainSeparator: Hex | Uint8Array
  /** Unix seconds. */
  now: bigint
  secp256k1?: Signature.Secp256k1 | undefined
}

/** A voucher that the contract would accept, or why not. */
export type Verdict =
  | {
      ok: true
      /** With the proof, when the voucher brought it or it was known. */
      channel: KnownChannel
      /** With the signature as `claim` takes it: a session key's has its proof behind it. */
      voucher: Voucher.Voucher
      /** The session key's proof, when it was the one who signed. */
      proof?: Hex
    }
  | { ok: false; rejection: Rejection.Rejection }

/**
 * Judges a voucher by what is known of its channel. Pure: no clock, no chain, no memory of earlier vouchers (the ledger
 * has that). Accepts exactly the signatures that the contract accepts, and those of a session key whose proof is known.
 */
export function verifyVoucher(
  voucher: Voucher.Voucher,
  channel: KnownChannel | undefined,
  context: VerifyContext,
): Verdict {
  return verifySigned(voucher, channel && recoverVoucher(voucher, context), channel, context)
}

/**
 * The part of {@link verifyVoucher} that needs no channel: who signed. `undefined` for what no channel can accept, so that
 * no question to the chain is spent on it.
 */
export function recoverVoucher(
  voucher: Voucher.Voucher,
  context: Pick<VerifyContext, 'domainSeparator' | 'secp256k1'>,
): SessionKey.Signed | undefined {
  const digest = Voucher.digest(voucher, context.domainSeparator)
  return SessionKey.recover(digest, voucher.signature, context.secp256k1)
}

/** The same, where signers may be recovered in another thread: a promise then. */
export function recoverVoucherBy(
  { recover }: Pick<SignerRecovery, 'recover'>,
  voucher: Voucher.Voucher,
  { domainSeparator }: Pick<VerifyContext, 'domainSeparator'>,
): SessionKey.Signed | undefined | Promise<SessionKey.Signed | undefined> {
  const { signature } = voucher
  const signer = recover(Voucher.digest(voucher, domainSeparator), SessionKey.ownPart(signature))
  return signer instanceof Promise
    ? signer.then((found) => SessionKey.signedBy(found, signature))
    : SessionKey.signedBy(signer, signature)
}

/** The rest of {@link verifyVoucher}. */
export function verifySigned(
  voucher: Voucher.Voucher,
  signed: SessionKey.Signed | undefined,
  channel: KnownChannel | undefined,
  context: VerifyContext,
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
  const accepted = signed && SessionKey.accept(signed, channel, context.deployment)
  if (!accepted) return invalidSignature
  if (Channel.isExpired(channel, context.now)) {
    return refuse('channel_expired', 'This channel has expired. Open a new one.')
  }
  if (voucher.amount > channel.deposit) {
    return refuse(
      'exceeds_deposit',
      `The voucher promises ${Usdc.display(voucher.amount)}, the channel holds ${Usdc.display(channel.deposit)}.`,
    )
  }
  const { signature, proof } = accepted
  if (!proof) return { ok: true, channel, voucher }
  return { ok: true, channel: { ...channel, proof }, voucher: { ...voucher, signature }, proof }
}

/** A voucher that no channel, or not this one, accepts. */
export const invalidSignature = refuse(
  'invalid_signature',
  'The voucher is not signed by the channel’s consumer or its session key for this chain and contract. ' +
    'The first voucher of a session key carries its proof.',
)

function refuse(code: Rejection.Code, message: string): Extract<Verdict, { ok: false }> {
  return { ok: false, rejection: { code, message } }
}
