/** `POST /v1/chat/completions`: what is asked, what it may cost, the answer and its real cost. */
import {
  InvalidRequestError,
  type MeteredEvent,
  type Paywall,
  Quote,
  type RequestQuote,
  sse,
} from '@drain-protocol/sdk'
import { type ChatRequest, parseChatRequest, UnknownModelError } from './ChatRequest.ts'
import { coveredPromptTokens, coveredTokens, meterCompletion, promptTokens } from './metering.ts'
import { meterStream } from './meterStream.ts'
import type { Model } from './models.ts'
import { readJson } from './readJson.ts'
import { problem } from './responses.ts'
import { type Upstream, UpstreamError } from './upstream.ts'

/** What the chat route serves, and who answers. */
export type ChatService = {
  models: ReadonlyMap<string, Model>
  upstreamOf(model: Model): Upstream
  maxBodyBytes: number
  /** Tells the operator what went wrong upstream. */
  log(message: string): void
}

/** Where the cost of an answer goes. */
export type Till = {
  /** Aborted when nobody is to get more of the answer: the channel closes, or the consumer has left. */
  signal: AbortSignal
  charge(cost: bigint): void
  stream(events: AsyncIterable<MeteredEvent>): Response
}

/** Answers a chat request against payment. A malformed one is refused before it is asked to pay. */
export async function paidChat(request: Request, paywall: Paywall, service: ChatService): Promise<Response> {
  const read = await readChatRequest(request, service)
  if (read instanceof Response) return read
  const { chat, text } = read
  return paywall.handle(
    request,
    quoteOf(chat),
    (payment) =>
      answer(chat, service, {
        signal: AbortSignal.any([payment.signal, request.signal]),
        charge: (cost) => payment.charge(cost),
        stream: (events) => sse(payment, events),
      }),
    { body: () => new TextEncoder().encode(text) },
  )
}

/**
 * Streams are paid in steps: the input and the first words are enough to begin. Not where the reasoning comes first and is
 * told last, since the provider would have paid for all of it by then.
 */
export function quoteOf({ model, quote, isStream }: ChatRequest): RequestQuote {
  if (!isStream || model.hidesReasoning) return quote.amount
  return Quote.inSteps(model.pricing, quote)
}

/** A request and its body as it came, or the response that refuses it. */
export async function readChatRequest(
  request: Request,
  { models, maxBodyBytes }: ChatService,
): Promise<{ chat: ChatRequest; text: string } | Response> {
  const body = await readJson(request, maxBodyBytes)
  if (!body.ok) return problem(body.status, 'invalid_request', body.message)
  try {
    return { chat: parseChatRequest(body.value, models), text: body.text }
  } catch (error) {
    if (error instanceof UnknownModelError) return problem(404, 'model_not_found', error.message)
    if (error instanceof InvalidRequestError) return problem(400, 'invalid_request', error.message)
    throw error
  }
}

/**
 * Has a request answered and reports its cost to the till. What the upstream fails at before its first output costs nothing.
 * What it works at is finished and charged, or stopped and charged once its first output has told what it costs, whether or not
 * anybody still waits: the upstream charges it too, and leaving early must not be a way around that.
 */
export async function answer(request: ChatRequest, service: ChatService, till: Till): Promise<Response> {
  const coveredInput = coveredPromptTokens(request)
  const inputTokens = await promptTokens(request, coveredInput)
  const maxTokens = coveredTokens(request, inputTokens)
  if (maxTokens < 1) {
    return problem(
      400,
      'prompt_not_covered',
      `The prompt has more than the ${coveredInput} tokens that the price of this request covers. Raise max_tokens.`,
    )
  }
  if (till.signal.aborted) return nobodyWaits()
  const upstream = service.upstreamOf(request.model)
  try {
    if (request.isStream) {
      const stop = new AbortController()
      const chunks = upstream.stream(request, maxTokens, stop.signal)
      const events = meterStream(chunks, request, { inputTokens, maxTokens })
      const first = await events.next()
      if (till.signal.aborted) {
        if (!first.done) till.charge(first.value.cost)
        // Ends the upstream; the charge stands, whether that goes well or not.
        events.return().catch(() => {})
        return nobodyWaits()
      }
      till.signal.addEventListener('abort', () => stop.abort(), { once: true })
      return till.stream(resumed(first, events))
    }
    const whole = await upstream.chat(request, maxTokens, new AbortController().signal)
    const { completion, cost } = meterCompletion(whole, request, inputTokens)
    till.charge(cost)
    return Response.json(completion)
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    service.log(`upstream failed for ${request.model.id}: ${error.details}`)
    return problem(error.status, error.code, error.message)
  }
}

/** The answer to a consumer that has closed its channel or left. Not an error that clients try again on. */
function nobodyWaits(): Response {
  return problem(410, 'channel_closing', 'The channel closed before the answer began.')
}

/** All events, when the first one was taken already: until it is there, a failure can still be told by the status. */
function resumed<event>(taken: IteratorResult<event>, events: AsyncGenerator<event>): AsyncIterable<event> {
  let first: IteratorResult<event> | undefined = taken
  const iterator = {
    async next() {
      const next = first ?? (await events.next())
      first = undefined
      return next
    },
    // Not a generator: one that was not asked for anything yet would not pass this on.
    return: () => events.return(undefined),
  }
  return { [Symbol.asyncIterator]: () => iterator }
}
