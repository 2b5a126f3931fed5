/** The API's part about channels. */
import { Channel } from '@drain/core'
import { z } from 'zod'
import { defineRoute, type Route } from '../http/Route.ts'
import { notFound } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { createChannelStatus } from './channelStatus.ts'
import { createChainClients } from './clients.ts'

const usdc = z.string().describe('Decimal USDC.')

const status = z.object({
  channelId: z.string(),
  chainId: z.number(),
  contract: z.string(),
  state: z
    .enum(['open', 'expired', 'closed'])
    .describe('`expired`: its consumer may close it; `closed`: it is settled.'),
  consumer: z.string(),
  provider: z.string(),
  deposit: usdc.nullable(),
  claimed: usdc,
  remaining: usdc,
  expiry: z.number().nullable().describe('Unix seconds.'),
  expiresAt: z.string().nullable().describe('ISO 8601, UTC.'),
})

export function channelRoutes(rooms: Rooms): Route[] {
  const channelStatus = createChannelStatus({
    chains: createChainClients(rooms.settings.chains),
    database: rooms.database,
    now: rooms.now,
  })
  return [
    defineRoute({
      method: 'get',
      path: '/api/channels/status',
      summary: 'What the chain says of a channel',
      tag: 'Channels',
      cost: 3,
      query: z.strictObject({
        channelId: z
          .string()
          .regex(/^0x[0-9a-fA-F]{64}$/, '32 bytes of hex')
          .transform((text) => Channel.parseId(text)),
        chainId: z
          .string()
          .regex(/^[1-9]\d{0,14}$/, 'a chain id')
          .transform(Number)
          .optional()
          .describe('All chains of this directory by default.'),
      }),
      answers: {
        200: { description: 'The channel; at most some seconds old.', schema: status },
        404: { description: 'No chain of this directory has it.' },
        503: { description: 'The chain can’t be read, or is asked too much.' },
      },
      async handle({ query: { channelId, chainId } }) {
        const found = await channelStatus(channelId, chainId)
        if (found) return found
        throw notFound(
          'channel with this id',
          'An open shows once its transaction is mined; check chain and id.',
        )
      },
    }),
  ]
}
