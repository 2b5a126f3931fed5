import type { MeteredEvent } from '@drain-protocol/sdk'
import { type ChatRequest, isObject } from './ChatRequest.ts'
import { addOutput, costOf, judgeUsage, readUsage, toUsageJson } from './metering.ts'
import { OutputMeter } from './OutputMeter.ts'
import { type JsonObject, UpstreamError } from './upstream.ts'

/** An event that always says what the stream costs up to it. */
export type PricedEvent = MeteredEvent & { cost: bigint }

/**
 * Prices a stream as it goes: each event carries the cost up to and including it, the input and the output so far. The chunks
 * that finish it are held until the upstream has told its usage, and carry the real cost.
 *
 * An upstream that goes on beyond `maxTokens` is stopped.
 *
 * @throws {UpstreamError} Where the upstream's stream fails, or ends without an end.
 */
export async function* meterStream(
  chunks: AsyncIterable<JsonObject>,
  request: ChatRequest,
  limits: { inputTokens: number; maxTokens: number },
): AsyncGenerator<PricedEvent, void> {
  const { inputTokens } = limits
  // Upstreams with another vocabulary may count a little less than we do, and are within their right.
  const mostTokens = Math.ceil(limits.maxTokens * request.choices * 1.1) + 16
  const output = new OutputMeter()
  const isFinished = new Map<number, boolean>()
  const held: JsonObject[] = []
  let usage: unknown
  let envelope: JsonObject = { object: 'chat.completion.chunk' }
  let isCut = false

  const counted = () => ({ inputTokens, outputTokens: output.tokens })
  const isComplete = () => isFinished.size > 0 && [...isFinished.values()].every(Boolean)

  try {
    for await (const { usage: reported, ...chunk } of chunks) {
      if (readUsage(reported)) usage = reported
      const choices = Array.isArray(chunk.choices) ? chunk.choices.filter(isObject) : []
      if (choices.length === 0) continue
      envelope = { ...chunk, choices: [] }
      for (const { index, delta, finish_reason } of choices) {
        addOutput(output, index, delta)
        if (!isFinished.get(Number(index))) isFinished.set(Number(index), typeof finish_reason === 'string')
      }
      if (output.tokens > mostTokens) {
        isCut = true
        break
      }
      held.push(chunk)
      const isHeld = request.model.hidesReasoning || choices.some((choice) => choice.finish_reason)
      if (!isHeld) for (const free of held.splice(0)) yield toEvent(free, costOf(request, counted()))
    }
  } catch (error) {
    // Everything has come but the usage: the count stands in.
    if (!isComplete()) throw error
  }
  if (!isCut && !isComplete()) throw new UpstreamError('the stream ended without a finish_reason')

  const reported = readUsage(usage)
  const real = judgeUsage(reported, counted())
  const cost = costOf(request, real)
  for (const chunk of held) yield toEvent(chunk, cost)
  if (isCut) {
    const unfinished = [...isFinished].filter(([, finished]) => !finished)
    const choices = unfinished.map(([index]) => ({ index, delta: {}, finish_reason: 'length' }))
    yield toEvent({ ...envelope, choices }, cost)
  }
  if (request.includeUsage) {
    yield toEvent({ ...envelope, usage: real === reported ? usage : toUsageJson(real) }, cost)
  }
}

function toEvent(chunk: JsonObject, cost: bigint): PricedEvent {
  return { data: JSON.stringify(chunk), cost }
}
