/** What registering and changing a provider takes. */
import { type Address, isAddress } from 'viem'
import { z } from 'zod'
import { protocols, tiers } from '../Provider.ts'
import { signatureShape } from '../signing/readAction.ts'
import { apiUrlSchema, mppShape, profileShape } from './profileSchema.ts'

export const addressSchema = z
  .string()
  .refine((text) => isAddress(text, { strict: false }), 'it is no address')
  .transform((text) => text as Address)

const hotkeyShape = {
  tier: z.enum(tiers).default('community'),
  hotkey: z.string().max(64).optional().describe('SS58 address of the miner; for the tier bittensor.'),
  hotkeySignature: z
    .string()
    .max(200)
    .optional()
    .describe('Its sr25519 signature of handshake58:{hotkey}:{apiUrl}, hexadecimal.'),
} as const

const shape = {
  ...profileShape,
  ...mppShape,
  ...hotkeyShape,
  apiUrl: apiUrlSchema,
  protocol: z.enum(protocols).default('drain'),
  providerAddress: addressSchema
    .optional()
    .describe('Who is paid, and who signs this. MPP services may do without.'),
} as const

/** What is tested before a listing is accepted. */
export const testSchema = z.strictObject({
  apiUrl: shape.apiUrl,
  protocol: shape.protocol,
  providerAddress: shape.providerAddress,
  docsUrl: shape.docsUrl,
  ...mppShape,
})

const { issuedAt, signature, chainId } = signatureShape

/** Without a signature for MPP services that have no wallet: they get a token instead. */
export const registrationSchema = z.strictObject({
  ...shape,
  chainId: chainId.describe('The chain of its channels.'),
  issuedAt: issuedAt.optional(),
  signature: signature.optional(),
})

/** A change says everything anew. */
export const changeSchema = registrationSchema
  .omit({ protocol: true, providerAddress: true, chainId: true })
  .extend({
    chainId,
  })

export const withdrawalSchema = z.strictObject({
  chainId,
  issuedAt: issuedAt.optional(),
  signature: signature.optional(),
})

export type Registration = z.output<typeof registrationSchema>
export type Change = z.output<typeof changeSchema>
