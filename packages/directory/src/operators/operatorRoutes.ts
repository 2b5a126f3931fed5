/** The operator's desk, for programs. */
import { z } from 'zod'
import { defineRoute, type Route } from '../http/Route.ts'
import { signatureShape } from '../signing/readAction.ts'
import { decisions, longestNote } from '../web/DeskParts.ts'
import type { Desk } from './createDesk.ts'
import type { Operators } from './createOperators.ts'

const tag = 'Operators'
const denied = { description: 'Only operators may.' }

export function operatorRoutes(desk: Desk, operators: Operators): Route[] {
  return [
    defineRoute({
      ...{ method: 'post', path: '/api/operators/session', tag, cost: 20 },
      summary: 'Sign in with an operator’s wallet',
      description:
        'A DirectoryAction `operator.signin` of the subject `desk`, signed in these ten minutes. Answers a token for `Authorization: Bearer`, good for twelve hours, and sets it as the desk’s cookie.',
      body: z.strictObject({
        chainId: z.number().int().positive(),
        issuedAt: signatureShape.issuedAt,
        signature: signatureShape.signature,
      }),
      answers: {
        200: { description: 'Signed in.', schema: z.object({ operator: z.string(), token: z.string() }) },
        401: denied,
      },
      async handle({ body }) {
        const { operator, token, cookie } = await operators.signInWithWallet(body)
        return Response.json({ operator, token }, { headers: { 'Set-Cookie': cookie } })
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/operators/overview', tag, access: 'operator' },
      summary: 'The queue, health, feedback, and what was decided',
      answers: { 200: { description: 'All of it.', schema: z.record(z.string(), z.unknown()) }, 401: denied },
      handle: () => desk.overview(),
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/operators/decisions', tag, access: 'operator' },
      summary: 'Decide about a provider or a report',
      body: z.strictObject({
        action: z.enum(decisions),
        id: z.string().min(1).max(300),
        note: z.string().max(longestNote).default(''),
        seen: z
          .number()
          .int()
          .optional()
          .describe('The `signedAt` that the overview showed; 409 where its owner has changed it since.'),
      }),
      answers: { 200: { description: 'Done.', schema: z.object({ done: z.string() }) }, 401: denied },
      async handle({ body, caller }) {
        return { done: await desk.decide((await caller.operator()) as string, body) }
      },
    }),
  ]
}
