/** The answer to a chat completion, as far as it can be believed: whole, streamed, cut, broken off, or of a shape of its own. */
import { DrainError } from '@drain/core'
import { createParser } from 'eventsource-parser'
import { readPieces, readText } from '../net/readBody.ts'
import { oneLine, printable, printableDeep } from '../text/untrusted.ts'
import { unpayable } from './request.ts'

/** Strangers wrote all of it. */
export type Completion = {
  text: string
  model?: string
  finishReason?: string
  toolCalls?: unknown[]
  /** Whether it was longer than is taken. */
  isCut: boolean
  /** Whether the provider broke it off. */
  isBroken?: boolean
}

/** The most that is taken of an answer, in bytes. */
const longest = 1 << 20

/** Reads an answer, streamed or not. @param show Hears of it while it comes. @throws {DrainError} `provider_error` and others */
export async function readCompletion(response: Response, show: (text: string) => void): Promise<Completion> {
  if (response.status === 402) throw await unpayable(response)
  if (!response.ok) throw await providerError(response)
  if (/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? ''))
    return readStream(response, show)
  const { text, isCut } = await readText(response, longest)
  const whole = parse(text)
  if (!whole || isCut) return { text: printable(text), isCut }
  const choice = choiceOf(whole)
  // Whatever isn't in the usual shape is an answer, too.
  if (!choice?.message) return { text: printable(text), isCut }
  const { content, tool_calls } = choice.message
  return described(whole, {
    text: textOf(content),
    toolCalls: listOf(tool_calls),
    finishReason: choice.finish_reason,
    isCut,
  })
}

/** How long pieces of an answer are gathered before they are shown, in milliseconds. */
const showEveryMs = 500

async function readStream(response: Response, show: (text: string) => void): Promise<Completion> {
  let [text, shown, shownAt] = ['', 0, Number.NEGATIVE_INFINITY]
  let last: Json = {}
  let finishReason: unknown
  const calls = new Map<number, Json>()
  let failure: string | undefined
  const parser = createParser({
    onEvent({ data, event }) {
      const chunk = data === '[DONE]' ? undefined : parse(data)
      if (!chunk) return
      if (event === 'error' || chunk.error) failure = messageOf(chunk)
      last = chunk
      const choice = choiceOf(chunk)
      finishReason = choice?.finish_reason ?? finishReason
      text += textOf(choice?.delta?.content)
      for (const call of listOf(choice?.delta?.tool_calls) ?? []) addCall(calls, call)
    },
  })
  const decoder = new TextDecoder()
  const pieces = readPieces(response, longest)
  let isCut = false
  for (;;) {
    const next = await pieces.next()
    if (next.done) {
      isCut = next.value
      break
    }
    parser.feed(decoder.decode(next.value, { stream: true }))
    if (text.length > shown && performance.now() - shownAt >= showEveryMs) {
      show(`Answering: …${oneLine(text.slice(Math.max(shown, text.length - 200)), 200)}`)
      ;[shown, shownAt] = [text.length, performance.now()]
    }
  }
  if (failure !== undefined && text === '') {
    throw new DrainError('provider_error', 'The provider broke its answer off.', { details: failure })
  }
  const toolCalls = calls.size > 0 ? [...calls.values()] : undefined
  const isBroken = failure !== undefined
  return { ...described(last, { text, toolCalls, finishReason, isCut }), ...(isBroken && { isBroken }) }
}

function described(
  { model }: Json,
  {
    text,
    toolCalls,
    finishReason,
    isCut,
  }: { text: string; toolCalls: unknown[] | undefined; finishReason: unknown; isCut: boolean },
): Completion {
  return {
    text: printable(text),
    isCut,
    ...(typeof model === 'string' && { model: oneLine(model, 200) }),
    ...(typeof finishReason === 'string' && { finishReason: oneLine(finishReason, 40) }),
    ...(toolCalls && { toolCalls: toolCalls.map(printableDeep) }),
  }
}

/** A provider's error status, with its words. */
async function providerError(response: Response): Promise<DrainError> {
  const { text } = await readText(response, 64 << 10).catch(() => ({ text: '' }))
  const body = parse(text)
  const details = printable(body ? messageOf(body) : text).slice(0, 1_000)
  const isAway = response.status >= 500
  return new DrainError('provider_error', `The provider answers HTTP ${response.status}.`, {
    details,
    action: isAway
      ? 'Try again in a while, or look for another provider: drain_providers.'
      : 'Correct the request: drain_provider_info tells what the provider takes.',
  })
}

type Json = Record<string, unknown>
type Choice = {
  message?: { content?: unknown; tool_calls?: unknown }
  delta?: { content?: unknown; tool_calls?: unknown }
  finish_reason?: unknown
}

function choiceOf({ choices }: Json): Choice | undefined {
  const [first] = Array.isArray(choices) ? choices : []
  return typeof first === 'object' && first !== null ? first : undefined
}

/** Text, or the text among parts of several kinds. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  const parts: { text?: unknown }[] = Array.isArray(content) ? content : []
  return parts.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('')
}

function listOf(value: unknown): unknown[] | undefined {
  return Array.isArray(value) && value.length > 0 ? value.slice(0, 100) : undefined
}

/** Calls of tools come in pieces, each with its call's index. */
function addCall(calls: Map<number, Json>, piece: unknown): void {
  const {
    index = 0,
    id,
    type,
    function: part,
  } = (piece ?? {}) as { index?: number; id?: unknown; type?: unknown; function?: Json }
  if (typeof index !== 'number' || (!calls.has(index) && calls.size >= 100)) return
  const call = calls.get(index) ?? { function: { name: '', arguments: '' } }
  const known = call.function as { name: string; arguments: string }
  const add = (text: unknown) => (typeof text === 'string' ? text : '')
  calls.set(index, {
    ...call,
    ...(id !== undefined && { id }),
    ...(type !== undefined && { type }),
    function: { name: known.name + add(part?.name), arguments: known.arguments + add(part?.arguments) },
  })
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
  } catch {
    return undefined
  }
}

function messageOf({ error, message, detail }: Json): string {
  const words = typeof error === 'object' && error !== null ? (error as Json).message : error
  const found = [words, message, detail].find((one) => typeof one === 'string')
  return oneLine(String(found ?? ''), 1_000)
}
