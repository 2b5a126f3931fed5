/** The method `drain` with the intent `session`: a DRAIN channel, paid by vouchers. */
import { Usdc } from '@drain/core'
import { Method, z } from 'mppx'

export const methodName = 'drain'
export const intent = 'session'

/** How a channel may come to be: opened by the consumer, or by the provider with an EIP-3009 authorization. */
export type OpenType = 'hash' | 'authorization'

/** What a challenge asks for, as it crosses the wire. Amounts are base units of the token. */
export type SessionRequest = {
  /** The price of this request: a channel's vouchers must leave as much. */
  amount: string
  /** The token's address. */
  currency: string
  description?: string | undefined
  externalId?: string | undefined
  methodDetails: {
    chainId: number
    credentialTypes: OpenType[]
    escrowContract: string
  }
  /** The provider's address. */
  recipient: string
  /** What a channel should hold, at the least. */
  suggestedDeposit?: string | undefined
}

const decimal = () => z.string().check(z.regex(/^(?:0|[1-9][0-9]{0,77})$/, 'Invalid decimal'))
const bytes = () => z.string().check(z.regex(/^0x(?:[0-9a-fA-F]{2})+$/, 'Invalid hex'))

/** A voucher: `cumulativeAmount` in base units, and a nonce that the channel has not seen. */
const voucher = {
  channelId: z.hash(),
  cumulativeAmount: decimal(),
  nonce: decimal(),
  /** 65 bytes, and behind a session key's the proof of its opening (EIP-712, `DrainChannel` version 1). */
  signature: bytes(),
}

/** As the body of `POST /v1/open`: the fields of the opening, and what EIP-3009 adds. */
const authorization = z.strictObject({
  consumer: z.address(),
  provider: z.address(),
  amount: decimal(),
  duration: decimal(),
  signer: z.address(),
  salt: z.hash(),
  validAfter: decimal(),
  validBefore: decimal(),
  signature: bytes(),
})

const openType = z.enum(['hash', 'authorization'])

export const drainSession = Method.from({
  name: methodName,
  intent,
  schema: {
    credential: {
      payload: z.discriminatedUnion('action', [
        z.strictObject({ action: z.literal('voucher'), ...voucher }),
        z.discriminatedUnion('type', [
          z.strictObject({
            action: z.literal('open'),
            type: z.literal('hash'),
            ...voucher,
            /** The transaction that opened the channel. */
            hash: z.optional(z.hash()),
          }),
          z.strictObject({
            action: z.literal('open'),
            type: z.literal('authorization'),
            ...voucher,
            authorization,
          }),
        ]),
        /** A signed `ChannelRequest` with the action `close`; `deadline` in Unix seconds. */
        z.strictObject({
          action: z.literal('close'),
          channelId: z.hash(),
          deadline: decimal(),
          signature: bytes(),
        }),
      ]),
    },
    /** Servers give amounts in USDC (`'0.001'`); the challenge has base units. */
    request: z.pipe(
      z.object({
        amount: z.amount(),
        chainId: z.number(),
        credentialTypes: z.optional(z.array(openType)),
        currency: z.address(),
        description: z.optional(z.string()),
        escrowContract: z.address(),
        externalId: z.optional(z.string()),
        recipient: z.address(),
        suggestedDeposit: z.optional(z.amount()),
      }),
      z.transform((given): SessionRequest => {
        const {
          amount,
          chainId,
          credentialTypes = ['hash'],
          escrowContract,
          suggestedDeposit,
          ...rest
        } = given
        return {
          ...rest,
          amount: Usdc.parse(amount).toString(),
          methodDetails: { chainId, credentialTypes, escrowContract },
          ...(suggestedDeposit !== undefined && {
            suggestedDeposit: Usdc.parse(suggestedDeposit).toString(),
          }),
        }
      }),
    ),
  },
})

/** What pays, as it crosses the wire. */
export type SessionPayload = z.output<(typeof drainSession)['schema']['credential']['payload']>
export type SessionRequestInput = z.input<(typeof drainSession)['schema']['request']>

/** What of a request must stay as it was in the challenge: everything but the price, which each request has of its own. */
export function bindingOf({ currency, recipient, methodDetails }: SessionRequest): Record<string, unknown> {
  const { chainId, escrowContract } = methodDetails
  return { chainId, currency, escrowContract, recipient }
}
