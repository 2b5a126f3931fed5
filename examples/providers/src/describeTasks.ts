/** How to send tasks, for `/v1/docs` and `/openapi.json`. */
import type { RouteInput } from '@drain-protocol/sdk'
import type { JsonObject } from './body.ts'

/** A request that works, for those who read how to use a service. */
export type Example = { model: string; input: JsonObject; result: unknown }

const requestOf = ({ model, input }: Example) => ({
  model,
  messages: [{ role: 'user', content: JSON.stringify(input) }],
})

/** The part of `/v1/docs` that tells how to send a task, and what comes back. */
export function describeTasks(examples: readonly Example[]): string {
  const shown = examples.map((example) => {
    const message = { role: 'assistant', content: JSON.stringify(example.result) }
    return `Example request, and its answer:

POST /v1/chat/completions
${JSON.stringify(requestOf(example))}

200
${JSON.stringify({ object: 'chat.completion', model: example.model, choices: [{ index: 0, finish_reason: 'stop', message }] })}`
  })
  return `Send POST /v1/chat/completions with Content-Type: application/json. The last user message is a text that holds JSON, and
so is choices[0].message.content of the answer. "stream": true is understood, and sends the answer in one piece.

${shown.join('\n\n')}

Errors: {"error": {"message", "type", "code"}}. 400 invalid_request, 404 model_not_found, 413 too_large, 503 busy: the message
says what to do, and nothing is charged. 402 asks for payment, as above.`
}

/** The chat route for `/openapi.json`. */
export function describeRoute(example: Example, summary: string): RouteInput {
  const content = { 'application/json': { example: requestOf(example) } }
  return { method: 'POST', path: '/v1/chat/completions', summary, requestBody: { required: true, content } }
}
