/** Who may change a listing. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Hex, isAddress } from 'viem'
import type { ProviderRecord } from '../Provider.ts'
import { Problem } from '../problem.ts'
import { readSigner } from '../signing/readAction.ts'

export type Proof = {
  origin: string
  action: string
  subject: string
  /** As it was sent. */
  body: Record<string, unknown>
  issuedAt?: number | undefined
  signature?: Hex | undefined
  chainId?: number | undefined
  /** What stands behind `Authorization: Bearer`. */
  token?: string | undefined
  now: number
}

/** A token for an owner without a wallet, and what is kept of it. */
export function createToken(): { token: string; owner: string } {
  const token = randomBytes(32).toString('base64url')
  return { token, owner: ownerOf(token) }
}

const ownerOf = (token: string) => `token:${createHash('sha256').update(token).digest('hex')}`

/** The lower-case address of who signed. @throws {Problem} 401 */
export async function signerOf(proof: Proof): Promise<string> {
  const { issuedAt, signature, chainId } = proof
  if (issuedAt === undefined || signature === undefined || chainId === undefined) {
    throw new Problem(401, 'signature_missing', 'This needs the signature of the provider’s wallet.', {
      action: 'Send chainId, issuedAt and signature; /api/drain/signing shows what to sign.',
    })
  }
  return (await readSigner({ ...proof, issuedAt, signature, chainId })).toLowerCase()
}

/**
 * Insists that a change comes from the owner, and is later than the one before. Returns its time.
 *
 * @throws {Problem} 401, 403, or 409 for a signature that was used already.
 */
export async function assertOwner(record: ProviderRecord, proof: Proof): Promise<number> {
  if (!isAddress(record.owner, { strict: false })) {
    const given = Buffer.from(ownerOf(proof.token ?? ''))
    const wanted = Buffer.from(record.owner)
    if (given.length === wanted.length && timingSafeEqual(given, wanted))
      return Math.max(proof.now, record.signedAt + 1)
    throw new Problem(401, 'token_wrong', 'This needs the token that its registration answered with.', {
      action: 'Send it as Authorization: Bearer.',
    })
  }
  if ((await signerOf(proof)) !== record.owner) {
    throw new Problem(403, 'not_owner', `Only ${record.owner} may change this listing.`)
  }
  assertLater(record, proof.issuedAt as number)
  return proof.issuedAt as number
}

/** @throws {Problem} 409 */
export function assertLater({ signedAt }: { signedAt: number }, issuedAt: number): void {
  if (issuedAt > signedAt) return
  throw new Problem(
    409,
    'signature_used',
    'A change that was signed later, or this very one, is there already.',
    {
      action: 'Sign again with the time of now.',
    },
  )
}

export function bearerOf(request: Request): string | undefined {
  return /^Bearer ([\x21-\x7e]{1,200})$/i.exec(request.headers.get('authorization') ?? '')?.[1]
}
