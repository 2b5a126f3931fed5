/** What a chat request uses and costs: tokens by the upstream's own count where it tells, by ours where it doesn't. */
import { Pricing } from '@drain-protocol/sdk'
import { type ChatRequest, isObject } from './ChatRequest.ts'
import { OutputMeter } from './OutputMeter.ts'
import { countTokensUpTo } from './tokens.ts'
import { type JsonObject, UpstreamError } from './upstream.ts'

export type Usage = { inputTokens: number; outputTokens: number }

/**
 * Tokens of everything that the model reads, by o200k and OpenAI's overhead of three per message and three for the answer.
 * `response_format` counts too: a JSON schema is input like any other. Counts no further than `most`.
 */
export async function promptTokens(request: ChatRequest, most = Number.POSITIVE_INFINITY): Promise<number> {
  const overhead = 3 + 3 * request.messages.length
  return overhead + (await countTokensUpTo(most - overhead, promptTexts(request)))
}

function* promptTexts({ messages, tools, parameters }: ChatRequest): Generator<string> {
  for (const { content, ...fields } of messages) {
    yield* texts(content)
    for (const field of Object.values(fields)) yield* texts(field)
  }
  for (const read of [tools, parameters.response_format]) if (read !== undefined) yield JSON.stringify(read)
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return []
  return value.map((part) => {
    const text = isObject(part) ? (part.text ?? part.refusal) : undefined
    return typeof text === 'string' ? text : (JSON.stringify(part) ?? '')
  })
}

/** Rate units in one base unit: a `Rate` is 10^-18 USDC. */
const ratePerBaseUnit = 10n ** 12n

/**
 * `max_tokens` per choice that the quote covers. Less than was asked for when the prompt has more tokens than a third of its
 * bytes, as numbers and base64 do; zero when the prompt alone costs the whole quote.
 */
export function coveredTokens({ model, quote, choices }: ChatRequest, inputTokens: number): number {
  if (inputTokens <= quote.inputTokens) return quote.maxTokens
  const { inputPer1k, outputPer1k } = model.pricing
  const left = quote.amount * ratePerBaseUnit * 1_000n - BigInt(inputTokens) * inputPer1k
  if (left < 0n) return 0
  if (outputPer1k === 0n) return quote.maxTokens
  return Math.min(quote.maxTokens, Number(left / outputPer1k / BigInt(choices)))
}

/** The longest prompt that the quote covers together with one token of each answer. */
export function coveredPromptTokens({ model, quote, choices }: ChatRequest): number {
  const { inputPer1k, outputPer1k } = model.pricing
  if (inputPer1k === 0n) return Number.POSITIVE_INFINITY
  const left = quote.amount * ratePerBaseUnit * 1_000n - BigInt(choices) * outputPer1k
  return Math.max(quote.inputTokens, Number(left / inputPer1k))
}

/** The cost in base units: at most the quote, whatever the upstream says. */
export function costOf({ model, quote }: ChatRequest, usage: Usage): bigint {
  const cost = Pricing.cost(model.pricing, usage)
  return cost < quote.amount ? cost : quote.amount
}

/** The upstream's `usage`, if it is there and makes sense. */
export function readUsage(usage: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = usage
  return isCount(inputTokens) && isCount(outputTokens) ? { inputTokens, outputTokens } : undefined
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** What was really used: the upstream's count, unless it says that there was no output where there was. */
export function judgeUsage(reported: Usage | undefined, counted: Usage): Usage {
  const isPlausible = reported && (reported.outputTokens > 0 || counted.outputTokens === 0)
  return isPlausible ? reported : counted
}

/** A usage in OpenAI's form. */
export function toUsageJson({ inputTokens, outputTokens }: Usage): JsonObject {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  }
}

/** Adds everything that a message, or its next piece, puts out: words, reasoning, refusals and calls of tools. */
export function addOutput(meter: OutputMeter, choice: unknown, message: unknown): void {
  if (!isObject(message)) return
  const add = (name: string, text: unknown) => {
    if (typeof text === 'string' && text) meter.add(`${choice}/${name}`, text)
  }
  for (const name of ['content', 'refusal', 'reasoning_content', 'reasoning']) add(name, message[name])
  const calls = [
    ...(Array.isArray(message.tool_calls) ? message.tool_calls : []),
    { function: message.function_call },
  ]
  for (const [position, call] of calls.entries()) {
    if (!isObject(call) || !isObject(call.function)) continue
    const name = `call ${call.index ?? position}`
    add(`${name} name`, call.function.name)
    add(`${name} arguments`, call.function.arguments)
  }
}

/**
 * A whole answer with its usage and cost.
 *
 * @throws {UpstreamError} When it is no chat completion.
 */
export function meterCompletion(
  completion: JsonObject,
  request: ChatRequest,
  inputTokens: number,
): { completion: JsonObject; cost: bigint } {
  const { choices } = completion
  if (!Array.isArray(choices) || choices.length === 0) throw new UpstreamError('a completion without choices')
  const output = new OutputMeter()
  for (const [index, choice] of choices.entries())
    addOutput(output, index, isObject(choice) && choice.message)
  const reported = readUsage(completion.usage)
  const usage = judgeUsage(reported, { inputTokens, outputTokens: output.tokens })
  return {
    completion: usage === reported ? completion : { ...completion, usage: toUsageJson(usage) },
    cost: costOf(request, usage),
  }
}
