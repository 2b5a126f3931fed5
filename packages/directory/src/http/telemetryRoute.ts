/** What drain-mcp tells where its owner wants that: how a request went. Counted, and nothing else. */
import { z } from 'zod'
import { defineRoute, type Route } from './Route.ts'

export type Telemetry = { protocol: 'drain' | 'mpp'; latencyMs: number; httpStatus: number }

export function telemetryRoute(count: (event: Telemetry) => void): Route {
  return defineRoute({
    ...{ method: 'post', path: '/api/telemetry', tag: 'Feedback' },
    summary: 'How a request went; anonymous, and no part of any score',
    body: z.object({
      providerId: z.string().max(200),
      latencyMs: z.number().nonnegative().max(86_400_000),
      httpStatus: z.number().int().min(0).max(599),
      protocol: z.enum(['drain', 'mpp']),
    }),
    longest: 4_096,
    answers: { 202: { description: 'Counted.' } },
    async handle({ body }) {
      count(body)
      return Response.json({ ok: true }, { status: 202 })
    },
  })
}
