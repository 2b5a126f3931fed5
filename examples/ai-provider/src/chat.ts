/** `POST /v1/chat/completions`: what is asked, what it may cost, the answer and its real cost. */
import { InvalidRequestError, type MeteredEvent, type Paywall, sse } from '@drain-protocol/sdk'
import { type ChatRequest, parseChatRequest, UnknownModelError } from './ChatRequest.ts'
import { coveredTokens, meterCompletion, promptTokens } from './metering.ts'
import { meterStream } from './meterStream.ts'
import type { Model } from './models.ts'
import { readJson } from './readJson.ts'
import { problem } from './responses.ts'
import { type Upstream, UpstreamError } from './upstream.ts'

/** Holds the prompt of the largest models. */
const maxBodyBytes = 1_048_576

/** What the chat route serves, and who answers. */
export type ChatService = {
  models: ReadonlyMap<string, Model>
  upstreamOf(model: Model): Upstream
  /** Tells the operator what went wrong upstream. */
  log(message: string): void
}

/** Where the cost of an answer goes. */
export type Till = {
  /** Ends a stream early. */
  signal: AbortSignal
  charge(cost: bigint): void
  stream(events: AsyncIterable<MeteredEvent>): Response
}

/** Answers a chat request against payment. A malformed one is refused before it is asked to pay. */
export async function paidChat(request: Request, paywall: Paywall, service: ChatService): Promise<Response> {
  const chat = await readChatRequest(request, service)
  if (chat instanceof Response) return chat
  return paywall.handle(request, chat.quote.amount, (payment) =>
    answer(chat, service, {
      signal: payment.signal,
      charge: (cost) => payment.charge(cost),
      stream: (events) => sse(payment, events),
    }),
  )
}

/** The request, or the response that refuses it. */
export async function readChatRequest(
  request: Request,
  { models }: ChatService,
): Promise<ChatRequest | Response> {
  const body = await readJson(request, maxBodyBytes)
  if (!body.ok) return problem(body.status, 'invalid_request', body.message)
  try {
    return parseChatRequest(body.value, models)
  } catch (error) {
    if (error instanceof UnknownModelError) return problem(404, 'model_not_found', error.message)
    if (error instanceof InvalidRequestError) return problem(400, 'invalid_request', error.message)
    throw error
  }
}

/** Has a request answered and reports its cost to the till. What fails before its first output costs nothing. */
export async function answer(request: ChatRequest, service: ChatService, till: Till): Promise<Response> {
  const inputTokens = promptTokens(request)
  const maxTokens = coveredTokens(request, inputTokens)
  if (maxTokens < 1) {
    return problem(
      400,
      'prompt_not_covered',
      `The prompt has ${inputTokens} tokens, more than the price of this request covers. Raise max_tokens.`,
    )
  }
  const upstream = service.upstreamOf(request.model)
  try {
    if (request.isStream) {
      const chunks = upstream.stream(request, maxTokens, till.signal)
      return till.stream(await started(meterStream(chunks, request, { inputTokens, maxTokens })))
    }
    // Not ended when the channel closes or the consumer leaves: it is paid for upstream, so it is finished and charged.
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

/** The same events once the first one is there: until then a failure can still be told by the status. */
async function started(events: AsyncGenerator<MeteredEvent>): Promise<AsyncIterable<MeteredEvent>> {
  let first: IteratorResult<MeteredEvent> | undefined = await events.next()
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
