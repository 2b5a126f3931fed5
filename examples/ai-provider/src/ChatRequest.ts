/** What a consumer asks for: read strictly, so that nothing goes upstream that the price does not know of. */
import { InvalidRequestError, Quote } from '@drain-protocol/sdk'
import type { Model } from './models.ts'
import type { JsonObject } from './upstream.ts'

export type ChatRequest = {
  model: Model
  /** What it can cost at most. */
  quote: Quote.Quote
  isStream: boolean
  /** Whether the consumer wants OpenAI's usage chunk at the end of the stream. */
  includeUsage: boolean
  /** Number of answers. */
  choices: number
  messages: readonly JsonObject[]
  tools: readonly JsonObject[] | undefined
  /** The other parameters that may go upstream as they are. */
  parameters: JsonObject
}

const passedOn = [
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'parallel_tool_calls',
  'presence_penalty',
  'reasoning_effort',
  'response_format',
  'seed',
  'stop',
  'temperature',
  'tool_choice',
  'top_logprobs',
  'top_p',
  'verbosity',
]

/** Parameters that are billed apart from the tokens that the quote counts, or change the answer's kind. */
const refused = ['audio', 'function_call', 'functions', 'prediction', 'web_search_options']

const roles = new Set<unknown>(['system', 'developer', 'user', 'assistant', 'tool'])
const messageFields = [
  'role',
  'content',
  'name',
  'refusal',
  'reasoning_content',
  'tool_calls',
  'tool_call_id',
]
const mostChoices = 16

/**
 * Reads the parsed body of a chat request. Unknown parameters are ignored, as upstream APIs do.
 *
 * @throws {InvalidRequestError | UnknownModelError}
 */
export function parseChatRequest(body: unknown, models: ReadonlyMap<string, Model>): ChatRequest {
  if (!isObject(body)) throw new InvalidRequestError('The body is not a JSON object.', 'Send a chat request.')
  const { stream = null, stream_options, messages, tools } = body
  const model = typeof body.model === 'string' ? models.get(body.model) : undefined
  if (!model) throw new UnknownModelError(body.model, [...models.keys()])
  if (stream !== null && typeof stream !== 'boolean') throw wrong('stream', 'true or false')
  for (const name of refused)
    if (isGiven(body[name])) throw wrong(name, 'left out: this provider does not take it')
  if (isGiven(body.modalities) && JSON.stringify(body.modalities) !== '["text"]')
    throw wrong('modalities', '["text"]')

  const quote = quoteOf(model, body)
  const choices = isGiven(body.n) ? Number(body.n) : 1
  if (choices > mostChoices) throw wrong('n', `at most ${mostChoices}`)
  const parameters = pick(body, passedOn)
  if (choices > 1) parameters.n = choices
  return {
    model,
    quote,
    isStream: stream === true,
    includeUsage: isObject(stream_options) && stream_options.include_usage === true,
    choices,
    messages: (messages as unknown[]).map(parseMessage),
    tools: isGiven(tools) ? parseTools(tools) : undefined,
    parameters,
  }
}

/** A model that isn't sold here. OpenAI's status for it is 404. */
export class UnknownModelError extends Error {
  override readonly name = 'UnknownModelError'
  constructor(model: unknown, known: string[]) {
    const asked = typeof model === 'string' ? JSON.stringify(model.slice(0, 80)) : 'without a name'
    super(`The model ${asked} is not served here. There is: ${known.slice(0, 20).join(', ')}.`)
  }
}

function quoteOf(model: Model, body: JsonObject): Quote.Quote {
  try {
    return Quote.chat(model.pricing, body)
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidRequestError('The body is nested too deeply.')
    throw error
  }
}

function parseMessage(message: unknown, index: number): JsonObject {
  const name = `messages[${index}]`
  if (!isObject(message)) throw wrong(name, 'an object')
  if (!roles.has(message.role)) throw wrong(`${name}.role`, `one of ${[...roles].join(', ')}`)
  const { content } = message
  if (Array.isArray(content)) {
    if (!content.every(isText))
      throw wrong(`${name}.content`, 'text: this provider takes no images, audio or files')
  } else if (isGiven(content) && typeof content !== 'string') {
    throw wrong(`${name}.content`, 'a string or an array of text parts')
  }
  return pick(message, messageFields)
}

/** Images and files cost many times the tokens that their bytes are quoted for. */
function isText(part: unknown): boolean {
  if (!isObject(part)) return false
  if (part.type === 'text') return typeof part.text === 'string'
  return part.type === 'refusal' && typeof part.refusal === 'string'
}

function parseTools(tools: unknown): JsonObject[] {
  if (!Array.isArray(tools)) throw wrong('tools', 'an array')
  return tools.map((tool: unknown, index) => {
    if (!isObject(tool) || tool.type !== 'function' || !isObject(tool.function)) {
      throw wrong(`tools[${index}]`, 'a tool of type "function"')
    }
    return { type: 'function', function: tool.function }
  })
}

function wrong(name: string, expected: string): InvalidRequestError {
  return new InvalidRequestError(`\`${name}\` must be ${expected}.`)
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function pick(from: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.filter((name) => isGiven(from[name])).map((name) => [name, from[name]]))
}
