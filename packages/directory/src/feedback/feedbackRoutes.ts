/** The API's part about feedback. */
import { Feedback } from '@drain/core'
import type { Address, Hex } from 'viem'
import { z } from 'zod'
import { providerId } from '../health/healthRoutes.ts'
import { createRateLimit } from '../http/RateLimit.ts'
import { defineRoute, type Route } from '../http/Route.ts'
import { notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { payeeOf } from '../score/listingOf.ts'
import { acceptFeedback } from './acceptFeedback.ts'
import { readFeedback } from './keepFeedback.ts'

const hex = <text extends Hex>(digits: number) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-fA-F]{${digits}}$`), `0x and ${digits} hex digits`)
    .transform((text) => text as text)

const sent = z.strictObject({
  providerId,
  outcome: z.enum(['success', 'failure']),
  protocol: z.enum(['drain', 'mpp']).describe('How it was paid.'),
  reason: z.string().max(Feedback.longestReason).optional(),
  channelId: hex<Hex>(64)
    .optional()
    .describe('The channel that it is about. Without it the report is not counted.'),
  issuedAt: z
    .string()
    .regex(/^\d{1,12}$/, 'Unix seconds, as a string')
    .optional()
    .describe('Unix seconds, within ten minutes of now, and later than the report before.'),
  consumer: hex<Address>(40).optional().describe('The wallet that paid and signs.'),
  signature: hex<Hex>(130).optional().describe('EIP-712 signature of `Feedback`; see /api/drain/signing.'),
})

const accepted = z.object({
  ok: z.literal(true),
  counted: z.boolean().describe('Whether it counts for the score by now.'),
  note: z.string(),
})

const list = z.object({
  providerId: z.string(),
  feedback: z.array(
    z.object({
      at: z.string().describe('ISO 8601, UTC.'),
      outcome: z.enum(['success', 'failure']),
      protocol: z.enum(['drain', 'mpp']),
      reason: z.string().describe('Words of a stranger.'),
      consumer: z.string().describe('Shortened.'),
      paid: z
        .string()
        .nullable()
        .describe('Decimal USDC that its channel has paid; null where it doesn’t count.'),
    }),
  ),
})

/** Reports that a network may send within a minute. */
const mostPerMinute = 20

export function feedbackRoutes(rooms: Rooms): Route[] {
  const limit = createRateLimit(mostPerMinute, rooms.now)
  return [
    defineRoute({
      method: 'post',
      path: '/api/feedback',
      summary: 'Report how a provider did',
      description:
        'Signed by the wallet that paid. Counted once for each channel, with the money that the chain shows as paid from it; see /docs/score.',
      tag: 'Feedback',
      cost: 3,
      longest: 8_192,
      body: sent,
      answers: {
        200: { description: 'It is kept.', schema: accepted },
        401: { description: 'The signature is missing, wrong or not of these ten minutes.' },
        404: { description: 'There is no such provider.' },
        409: { description: 'A later one is there already, or the channel is one of others.' },
        429: { description: 'Too many reports.' },
      },
      async handle({ body, caller }) {
        const wait = limit.take(caller.network, 1)
        if (wait > 0) {
          throw new Problem(429, 'too_many_reports', 'Those are too many reports for one minute.', {
            action: `Go on in ${wait} seconds.`,
            headers: { 'Retry-After': String(wait) },
          })
        }
        return acceptFeedback(rooms, body)
      },
    }),
    defineRoute({
      method: 'get',
      path: '/api/directory/providers/{id}/feedback',
      summary: 'What consumers report of a provider',
      tag: 'Feedback',
      params: z.strictObject({ id: providerId }),
      answers: {
        200: { description: 'The latest first, at most 50.', schema: list },
        404: { description: 'There is no such provider.' },
      },
      async handle({ params: { id } }) {
        const record = await rooms.providers.get(id)
        if (!record) throw notFound('provider with this id')
        const feedback = await readFeedback(rooms.database, id, payeeOf(record))
        return {
          providerId: id,
          feedback: feedback.map((one) => ({ ...one, at: new Date(one.at).toISOString() })),
        }
      },
    }),
  ]
}
