/** The routes by which providers come, change and go. */
import { z } from 'zod'
import { defineRoute, type Route } from '../http/Route.ts'
import { missingOf, type ProviderRecord } from '../Provider.ts'
import { Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { createConnectionTests } from './ConnectionTests.ts'
import { bearerOf } from './ownership.ts'
import { createRegistrations, type Registered } from './Registrations.ts'
import { changeSchema, registrationSchema, testSchema, withdrawalSchema } from './registrationSchema.ts'

const tag = 'Registration'
/** They make us ask another server several times. */
const cost = 30

const params = z.strictObject({ id: z.string().max(100) })

const check = z.object({
  name: z.string(),
  passed: z.boolean(),
  detail: z.string(),
  latencyMs: z.number().optional(),
})

const registered = z.object({
  id: z.string(),
  state: z.enum(['pending', 'approved', 'rejected', 'suspended', 'withdrawn']),
  checks: z.array(check),
  missing: z.array(z.string()).describe('What agents are not shown it for.'),
  reviewUrl: z.string(),
  token: z.string().optional().describe('For later changes of a service without a wallet; shown once.'),
})

const problem = { description: 'Why not, and what to do (RFC 9457).' }

const streamType = 'application/x-ndjson'

export function registrationRoutes(rooms: Rooms): Route[] {
  const test = createConnectionTests(rooms)
  const registrations = createRegistrations(rooms, test)
  const { settings } = rooms

  const answer = ({ record, test, token }: Registered, status: number) =>
    Response.json(
      { ...stateOf(record), checks: test.checks, ...(token && { token }) },
      { status, headers: { Location: `/api/directory/providers/${record.id}` } },
    )

  function stateOf(record: ProviderRecord) {
    return {
      id: record.id,
      state: record.state,
      missing: missingOf(record.profile),
      reviewUrl: `${settings.origin}/providers/${record.id}/review`,
    }
  }

  return [
    defineRoute({
      ...{ method: 'post', path: '/api/directory/test', tag, cost },
      summary: 'Test a connection without registering',
      description: 'One line of JSON for each check as it ends, then {"done":true,"passed":…}.',
      body: testSchema,
      answers: { 200: { description: 'The checks.', schema: check, type: streamType }, 429: problem },
      async handle({ body, caller }) {
        const encoder = new TextEncoder()
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
        const writer = writable.getWriter()
        const say = (line: object) => {
          writer.write(encoder.encode(`${JSON.stringify(line)}\n`)).catch(() => undefined)
        }
        const target = { ...body, docsUrl: body.docsUrl || undefined, onCheck: say }
        const tested = test(target, caller.network)
        tested
          .then(
            ({ passed }) => say({ done: true, passed }),
            (error) => say({ done: true, passed: false, ...(error instanceof Problem && error.toJson()) }),
          )
          .finally(() => writer.close().catch(() => undefined))
        return new Response(readable, {
          headers: { 'Content-Type': streamType, 'X-Accel-Buffering': 'no' },
        })
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/directory/providers', tag, cost },
      summary: 'Register a provider',
      description:
        'Signed by the wallet that is paid: a DirectoryAction `provider.register` whose subject is apiUrl. The connection test runs first; what fails it is not kept.',
      body: registrationSchema,
      answers: {
        201: { description: 'Registered.', schema: registered },
        401: problem,
        409: problem,
        422: problem,
      },
      async handle({ body, sent, caller: { network } }) {
        return answer(await registrations.register({ given: body, body: sent, network }), 201)
      },
    }),
    defineRoute({
      ...{ method: 'put', path: '/api/directory/providers/{id}', tag, cost, params },
      summary: 'Change what a provider says',
      description:
        'Signed `provider.update` of its id, or with its token. Says everything anew. Another URL or name is looked at again.',
      body: changeSchema,
      answers: {
        200: { description: 'Changed.', schema: registered },
        403: problem,
        409: problem,
        422: problem,
      },
      async handle({ params: { id }, body, sent, request, caller: { network } }) {
        const change = { given: body, body: sent, token: bearerOf(request), network }
        return answer(await registrations.change(id, change), 200)
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/directory/providers/{id}/withdraw', tag, params },
      summary: 'Take a provider off, for good',
      description: 'Signed `provider.withdraw` of its id, or with its token.',
      body: withdrawalSchema,
      answers: { 200: { description: 'Withdrawn.' }, 403: problem },
      async handle({ params: { id }, body, sent, request }) {
        const change = { given: body, body: sent, token: bearerOf(request) }
        return stateOf(await registrations.withdraw(id, change))
      },
    }),
  ]
}
