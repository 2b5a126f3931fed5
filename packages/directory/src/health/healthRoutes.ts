/** The API's part about health. */
import { z } from 'zod'
import { defineRoute, type Route } from '../http/Route.ts'
import { notFound } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { signatureShape } from '../signing/readAction.ts'
import { acceptReport } from './acceptReport.ts'
import { readHistory } from './history.ts'
import { believedProbers } from './updateHealth.ts'

export const providerId = z.string().min(1).max(200)

const report = z.strictObject({
  providerId,
  reached: z.boolean().describe('Whether its server answered at all.'),
  correct: z.boolean().describe('Whether prices, address, docs and the 402 were as they should be.'),
  latencyMs: z.number().int().min(0).max(600_000).nullable().describe('Of its first answer.'),
  at: z
    .number()
    .int()
    .positive()
    .describe('When it was probed, Unix milliseconds; later than the report before.'),
  ...signatureShape,
})

const time = z.string().describe('ISO 8601, UTC.')
const history = z.object({
  providerId: z.string(),
  hours: z.array(
    z.object({
      hour: time,
      probes: z.number(),
      reached: z.number(),
      correct: z.number(),
      medianMs: z.number().nullable(),
      p95Ms: z.number().nullable(),
    }),
  ),
  changes: z.array(z.object({ at: time, status: z.string(), reason: z.string() })),
})

export function healthRoutes(rooms: Rooms): Route[] {
  const iso = (at: number) => new Date(at).toISOString()
  return [
    defineRoute({
      method: 'post',
      path: '/api/probes',
      summary: 'Report what a probe found',
      description:
        'For probers that the operator believes. Signed as the action `probe.report`, whose subject is the provider’s id.',
      tag: 'Health',
      cost: 2,
      body: report,
      answers: {
        200: { description: 'It is counted.', schema: z.object({ ok: z.literal(true) }) },
        401: { description: 'The signature is wrong or not of these ten minutes.' },
        403: { description: 'The signer is no prober of this directory.' },
        409: { description: 'A report as late or later is there already.' },
      },
      async handle({ body }) {
        await acceptReport(rooms, body)
        return { ok: true }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/api/directory/providers/{id}/health',
      summary: 'How a provider answered in the last 30 days',
      tag: 'Health',
      cost: 3,
      params: z.strictObject({ id: providerId }),
      answers: {
        200: { description: 'Hour by hour, and when its status changed.', schema: history },
        404: { description: 'There is no such provider.' },
      },
      async handle({ params: { id } }) {
        if (!(await rooms.providers.get(id))) throw notFound('provider with this id')
        const probers = believedProbers(rooms)
        const { hours, changes } = await readHistory(rooms.database, id, { now: rooms.now(), probers })
        return Response.json(
          {
            providerId: id,
            hours: hours.map((one) => ({ ...one, hour: iso(one.hour) })),
            changes: changes.map((one) => ({ ...one, at: iso(one.at) })),
          },
          { headers: { 'Cache-Control': 'public, max-age=60' } },
        )
      },
    }),
  ]
}
