import type { JsonObject } from './body.ts'
import { Refusal } from './problem.ts'

/** What goes upstream as it came. What costs apart from the tokens that are quoted, or isn't known, doesn't. */
const names = [
  ...['model', 'n', 'tools', 'tool_choice', 'temperature', 'top_p', 'stop', 'seed', 'response_format'],
  ...['presence_penalty', 'frequency_penalty'],
]

/** The part of a chat request that goes upstream. Messages are text: an image's URL is short, and its tokens many. @throws {Refusal} */
export function passedOn(body: JsonObject): JsonObject & { messages: Message[] } {
  const messages = (body.messages as unknown[]).map((message): Message => {
    const { role, name, tool_calls, tool_call_id, content: given } = (message ?? {}) as JsonObject
    const content =
      Array.isArray(given) && given.every(isText) ? given.map(({ text }) => text).join('') : given
    if (typeof role === 'string' && (typeof content === 'string' || (content == null && tool_calls)))
      return { role, content: content ?? null, name, tool_calls, tool_call_id }
    throw new Refusal(400, 'invalid_request', 'Each of `messages` must have a `role`, and text as `content`.')
  })
  const rest = names.filter((name) => body[name] != null).map((name) => [name, body[name]])
  return { ...Object.fromEntries(rest), messages }
}

function isText(part: unknown): part is { text: string } {
  const { type, text } = (part ?? {}) as JsonObject
  return type === 'text' && typeof text === 'string'
}

type Message = JsonObject & { content: string | null }

/** Characters of all messages. */
export function lengthOf(messages: readonly Message[]): number {
  return messages.reduce((sum, { content }) => sum + (content?.length ?? 0), 0)
}
