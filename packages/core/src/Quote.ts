/**
 * What a chat request may cost at most: the same number on both sides, so a consumer knows the price before it is told.
 */
import { InvalidRequestError } from './Errors.ts'
import { cost, type Tokens } from './Pricing.ts'

/** What one chat request can cost at most. */
export type Quote = {
  /** Base units. The charge is the real cost, at most this. */
  amount: bigint
  /** Input tokens quoted for: a third of the UTF-8 bytes, rounded up. */
  inputTokens: number
  /** Output tokens quoted for, over all choices; the provider stops there. */
  outputTokens: number
  /** `max_tokens` of one choice that the quote covers. */
  maxTokens: number
}

/**
 * Quotes a chat completion: input price × ⌈UTF-8 bytes of the JSON of `messages` and `tools` ÷ 3⌉ tokens + output
 * price × `max_tokens` (or the provider's stated default) × `n`.
 *
 * `body` is the parsed request. `max_completion_tokens` wins over `max_tokens`, as upstream.
 *
 * @throws {InvalidRequestError} When the body is no chat request.
 */
export function chat(pricing: Tokens, body: unknown): Quote {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidRequestError('The body is not a JSON object.', 'Send an OpenAI chat completion request.')
  }
  const { messages, tools, max_completion_tokens, max_tokens, n } = body as Record<string, unknown>
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new InvalidRequestError('`messages` is not a non-empty array.', 'Send at least one message.')
  }
  const bytes = jsonLength(messages) + (tools === undefined ? 0 : jsonLength(tools))
  const maxTokens = positive(max_completion_tokens ?? max_tokens, 'max_tokens') ?? pricing.defaultMaxTokens
  const choices = positive(n, 'n') ?? 1
  const inputTokens = Math.ceil(bytes / 3)
  const outputTokens = maxTokens * choices
  return { amount: cost(pricing, { inputTokens, outputTokens }), inputTokens, outputTokens, maxTokens }
}

/** Output tokens of each answer that a stream is paid for at a time. */
export const stepTokens = 256

/** What a streamed chat may cost at most, and in what steps it is paid: amounts in base units. */
export type StreamQuote = {
  /** At most, in all. */
  most: bigint
  /** The input and the first step of the output: enough to begin with. */
  first: bigint
  /** Each further step of the output. */
  step: bigint
  /** Output tokens of a step, over all choices. */
  tokens: number
}

/** The steps of a chat that is streamed: {@link stepTokens} at a time. */
export function inSteps(
  pricing: Tokens,
  { amount, inputTokens, outputTokens, maxTokens }: Quote,
): StreamQuote {
  const choices = outputTokens / maxTokens
  const tokens = Math.min(stepTokens, maxTokens) * choices
  const step = cost(pricing, { inputTokens: 0, outputTokens: tokens })
  const first = cost(pricing, { inputTokens, outputTokens: tokens })
  return { most: amount, first, step, tokens }
}

/** Above any model's output, and small enough that no product of it is inexact. */
const largest = 1_000_000

function positive(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largest)
    return value as number
  throw new InvalidRequestError(
    `\`${name}\` is not a whole number from 1 to ${largest}.`,
    `Correct or omit \`${name}\`.`,
  )
}

const encoder = new TextEncoder()

/** UTF-8 bytes of the JSON of a value. */
function jsonLength(value: unknown): number {
  try {
    return encoder.encode(JSON.stringify(value)).length
  } catch (cause) {
    // JSON can be parsed deeper than it can be written.
    throw new InvalidRequestError('The request is nested too deeply.', 'Send a flatter one.', cause)
  }
}
