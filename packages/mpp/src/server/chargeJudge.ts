/** What is wrong with an authorization, as far as it says so itself: without the node, and without the ledger. */
import { Signature, Usdc } from '@drain/core'
import type { SchemeContext } from '@drain/provider'
import { hexToBytes } from 'viem'
import { authorizationDigest, type SignedAuthorization, type TokenDomain } from '../authorization.ts'
import { type RefusedCharge, refuseCharge } from './chargeRejections.ts'

export type ChargeJudge = {
  /** Whom it pays, how much, and whether the payer has signed it. */
  judge(authorization: SignedAuthorization, quote: bigint, domain: TokenDomain): RefusedCharge | undefined
  /** By the clock: it must be good for `life` still. */
  judgeLife(authorization: SignedAuthorization): RefusedCharge | undefined
  /** Whether the payer's own key made the signature, as the token checks it for accounts without code. */
  isSigned(authorization: SignedAuthorization, domain: TokenDomain): boolean
}

/** How far ahead an authorization may end, in seconds: its record is kept until then. */
const maxAhead = 3_600n
/**
 * How long one must still be good when it is taken, in seconds, at the least: it is sent after the work, and a payer that lets it end
 * meanwhile has the work for nothing.
 */
export const leastLife = 60n

export const notSigned = refuseCharge(
  'invalid_signature',
  'The payer did not sign this.',
  'verification-failed',
)

export function createChargeJudge({
  provider,
  secp256k1,
  contractWallets,
  now,
  life,
}: Pick<SchemeContext, 'provider' | 'secp256k1'> & {
  /** Wallets with code have signatures that only the token can judge. */
  contractWallets: boolean
  /** The later of clock and chain head, in Unix seconds. */
  now: () => bigint
  /** Seconds. */
  life: bigint
}): ChargeJudge {
  const payee = provider.toLowerCase()

  function isSigned(authorization: SignedAuthorization, domain: TokenDomain): boolean {
    const digest = hexToBytes(authorizationDigest(authorization, domain))
    return Signature.isValid(digest, authorization.signature, authorization.from, secp256k1)
  }

  return {
    judge(authorization, quote, domain) {
      const { to, value } = authorization
      if (to !== payee) {
        const message = `Only charges to ${payee} are taken.`
        return refuseCharge('wrong_provider', message, 'verification-failed')
      }
      if (value !== quote || value === 0n) {
        const message = `The authorization is for ${Usdc.display(value)}, this request costs ${Usdc.display(quote)}.`
        return refuseCharge('insufficient_funds', message, 'verification-failed')
      }
      return contractWallets || isSigned(authorization, domain) ? undefined : notSigned
    },
    judgeLife({ validAfter, validBefore }) {
      const seconds = now()
      if (validBefore < seconds + life) {
        const message = `The authorization has expired, or ends within ${life} s. Answer a fresh challenge.`
        return refuseCharge('invalid_signature', message, 'payment-expired')
      }
      if (validBefore > seconds + maxAhead) {
        const message = 'validBefore must be at most an hour ahead.'
        return refuseCharge('invalid_signature', message, 'verification-failed')
      }
      if (validAfter < seconds) return undefined
      const message = 'The authorization is not valid yet.'
      return refuseCharge('invalid_signature', message, 'verification-failed')
    },
    isSigned,
  }
}
