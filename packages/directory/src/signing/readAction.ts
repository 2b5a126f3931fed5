/** Changes that a wallet signed, as `DirectoryAction` in `@drain/core` says. */
import { DirectoryAction } from '@drain/core'
import { type Address, getAddress, type Hex, recoverTypedDataAddress } from 'viem'
import { z } from 'zod'
import { Problem } from '../problem.ts'

/** How far a signature's time may be from ours, in milliseconds. */
export const freshFor = 600_000

/** The three fields that a signed body has beside its own. */
export const signatureShape = {
  /** The chain whose id the wallet signed with; any that this directory knows. */
  chainId: z.number().int().positive().optional(),
  issuedAt: z
    .union([z.number().int(), z.string().regex(/^\d{1,16}$/)])
    .transform(Number)
    .describe('Unix milliseconds, within ten minutes of now, and later than the change before.'),
  signature: z
    .string()
    .regex(/^0x[0-9a-fA-F]{130}$/)
    .transform((text) => text as Hex)
    .describe('EIP-712 signature of the DirectoryAction; see /api/drain/signing.'),
} as const

export type SignedFields = { issuedAt: number; signature: Hex }

/**
 * Who signed an action. The body that was signed is everything in `body` but `issuedAt` and `signature`, as it was sent.
 *
 * @throws {Problem} 401 for a time that is off or a signature that can't be read.
 */
export async function readSigner(options: {
  origin: string
  action: string
  subject: string
  /** As it came, before a schema filled in or took away anything. */
  body: Record<string, unknown>
  issuedAt: number
  signature: Hex
  chainId: number
  now: number
}): Promise<Address> {
  const { origin, action, subject, issuedAt, chainId, now } = options
  if (Math.abs(now - issuedAt) > freshFor) {
    throw new Problem(401, 'signature_expired', 'The signature is not of these ten minutes.', {
      action: `Sign again with the time of now, in milliseconds: this server's is ${now}.`,
    })
  }
  const { issuedAt: _time, signature: _signature, ...body } = options.body
  try {
    const signed = { directory: origin, action, subject, body, issuedAt: BigInt(issuedAt) }
    const typedData = DirectoryAction.typedData(signed, { chainId })
    return getAddress(await recoverTypedDataAddress({ ...typedData, signature: options.signature }))
  } catch (error) {
    throw new Problem(401, 'signature_invalid', 'The signature can’t be read.', {
      action: 'Sign the typed data that /api/drain/signing shows.',
      details: { reason: (error as Error).message.split('\n')[0] },
    })
  }
}
