import { type ChatRequest, isObject } from './ChatRequest.ts'
import { readEvents } from './readEvents.ts'
import { type JsonObject, type Upstream, UpstreamError } from './upstream.ts'

export type OpenAiOptions = {
  /** Such as `https://api.openai.com/v1`, without a slash at the end. */
  baseUrl: string
  apiKey: string
  /** Milliseconds without a sign of the upstream after which it counts as failed. */
  timeoutMs: number
}

/** Any API that speaks OpenAI's chat completions. Only known parameters and our own key go there. */
export function openAiUpstream(options: OpenAiOptions): Upstream {
  const { host } = new URL(options.baseUrl)
  // OpenAI's newer models refuse the older name; most other servers know no other.
  const limitName = host === 'api.openai.com' ? 'max_completion_tokens' : 'max_tokens'

  async function post(request: ChatRequest, more: JsonObject, signal: AbortSignal): Promise<Response> {
    const { model, messages, tools, parameters } = request
    const response = await fetch(`${options.baseUrl}/chat/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${options.apiKey}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...parameters, model: model.id, messages, tools, ...more }),
      // The key belongs to this host and goes to no other.
      redirect: 'error',
      signal,
    })
    if (!response.ok) throw await refusal(response, host)
    return response
  }

  return {
    async chat(request, maxTokens, signal) {
      const watch = startWatch(options.timeoutMs, signal)
      try {
        const response = await post(request, { [limitName]: maxTokens }, watch.signal)
        const completion: unknown = await response.json()
        if (!isObject(completion)) throw new UpstreamError(`${host} sent no object`)
        return completion
      } catch (cause) {
        throw toUpstreamError(cause, host)
      } finally {
        watch.end()
      }
    },

    async *stream(request, maxTokens, signal) {
      const watch = startWatch(options.timeoutMs, signal)
      try {
        const more = { [limitName]: maxTokens, stream: true, stream_options: { include_usage: true } }
        const { body } = await post(request, more, watch.signal)
        for await (const data of readEvents(body ?? new ReadableStream())) {
          watch.refresh()
          if (data === '[DONE]') return
          const chunk: unknown = JSON.parse(data)
          if (!isObject(chunk) || chunk.error) throw new UpstreamError(`${host} sent an error in the stream`)
          yield chunk
        }
      } catch (cause) {
        throw toUpstreamError(cause, host)
      } finally {
        watch.end()
      }
    },
  }
}

/** Aborts a request when `signal` does, or when nothing has come for `timeoutMs`. Ending it closes the connection. */
function startWatch(timeoutMs: number, signal: AbortSignal) {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(new Error(`nothing came for ${timeoutMs} ms`)), timeoutMs)
  return {
    signal: AbortSignal.any([signal, abort.signal]),
    refresh: () => void timer.refresh(),
    end() {
      clearTimeout(timer)
      abort.abort()
    },
  }
}

async function refusal(response: Response, host: string): Promise<UpstreamError> {
  const { status } = response
  const text = await response.text()
  const isInvalid = status === 400 || status === 413 || status === 422
  return new UpstreamError(`${host} answered ${status}`, {
    status: isInvalid ? 400 : 502,
    code: isInvalid ? errorCode(text) : undefined,
  })
}

/** A code such as `context_length_exceeded` tells the consumer more than words; it can't hold a secret. */
function errorCode(text: string): string | undefined {
  try {
    const code = JSON.parse(text)?.error?.code
    return typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : undefined
  } catch {
    return undefined
  }
}

function toUpstreamError(cause: unknown, host: string): UpstreamError {
  if (cause instanceof UpstreamError) return cause
  const reason = cause instanceof Error ? cause : new Error(String(cause))
  const inner = reason.cause instanceof Error ? `: ${reason.cause.message}` : ''
  return new UpstreamError(`${host}: ${reason.message}${inner}`, { cause })
}
