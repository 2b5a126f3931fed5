/**
 * How agents reach a provider that is no language model: a chat request whose last user message is JSON, and an answer in
 * OpenAI's shape whose content is JSON.
 */
import { randomUUID } from 'node:crypto'
import { type Payment, type Paywall, sse } from '@drain-protocol/sdk'
import type { Context } from 'hono'
import { type JsonObject, parseObject, readBody } from './body.ts'
import { Refusal, refused } from './problem.ts'

export type Task = {
  model: string
  /** The JSON of the last user message. */
  input: JsonObject
  isStream: boolean
  /** The body as it came, for its Idempotency-Key. */
  body: Uint8Array
}

/** What a task costs at most, in base units, and how it is done once that is reserved. */
export type Offer = { quote: bigint; work(payment: Payment): unknown }

/**
 * `POST /v1/chat/completions` of a paywall. `offer` is asked before anything is paid: what it refuses is free. So is work that
 * throws.
 */
export function taskRoute(
  paywall: Paywall,
  offer: (task: Task) => Offer,
  { maxBytes = 65_536 } = {},
): (context: Context) => Promise<Response> {
  const models = Object.keys(paywall.config.models ?? {})
  return async ({ req }) => {
    try {
      const task = readTask(await readBody(req.raw, maxBytes), models)
      const { quote, work } = offer(task)
      return await paywall.handle(
        req.raw,
        quote,
        async (payment) => {
          try {
            return answer(task, await work(payment), payment)
          } catch (error) {
            return refused(error)
          }
        },
        { body: task.body },
      )
    } catch (error) {
      return refused(error)
    }
  }
}

/** @throws {Refusal} Saying what to send instead. */
function readTask(body: Uint8Array, models: readonly string[]): Task {
  const { model, messages, stream } = parseObject(body, 'The body')
  if (typeof model !== 'string' || !models.includes(model))
    throw new Refusal(404, 'model_not_found', `\`model\` must be one of ${models.join(', ')}.`)
  const users = Array.isArray(messages) ? messages.filter((message) => message?.role === 'user') : []
  const content: unknown = users.at(-1)?.content
  const parts = Array.isArray(content) ? content.map((part) => part?.text) : [content]
  if (!parts.every((part) => typeof part === 'string'))
    throw new Refusal(400, 'invalid_request', '`messages` must have a message of role "user" with a text.')
  const input = parseObject(parts.join(''), 'The last user message')
  return { model, input, isStream: stream === true, body }
}

function answer({ model, isStream }: Task, result: unknown, payment: Payment): Response {
  const shared = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1_000), model }
  const message = { role: 'assistant', content: JSON.stringify(result) }
  const choice = { index: 0, finish_reason: 'stop' }
  if (!isStream) {
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
    return Response.json({ ...shared, object: 'chat.completion', choices: [{ ...choice, message }], usage })
  }
  const chunk = { ...shared, object: 'chat.completion.chunk', choices: [{ ...choice, delta: message }] }
  const cost = payment.reported > 0n ? payment.reported : payment.quote
  return sse(payment, only({ data: JSON.stringify(chunk), cost }))
}

async function* only<event>(event: event): AsyncGenerator<event> {
  yield event
}
