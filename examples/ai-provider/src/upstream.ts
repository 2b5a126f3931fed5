import type { ChatRequest } from './ChatRequest.ts'

/** A JSON object of the chat completions API, as it goes over the wire. */
export type JsonObject = { [name: string]: unknown }

/** Who answers chat requests: another API, or this process. Knows nothing of prices. */
export type Upstream = {
  /**
   * A whole `chat.completion`, at most `maxTokens` per choice.
   * @throws {UpstreamError}
   */
  chat(request: ChatRequest, maxTokens: number, signal: AbortSignal): Promise<JsonObject>
  /**
   * The `chat.completion.chunk`s of a stream. The last one carries `usage` where the upstream counts.
   * @throws {UpstreamError} At any point.
   */
  stream(request: ChatRequest, maxTokens: number, signal: AbortSignal): AsyncIterable<JsonObject>
}

/** The upstream failed, or refused the request. `message` is for the consumer and never holds the upstream's own words. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  /** 400 when the request is to blame, 502 otherwise. */
  readonly status: 400 | 502
  readonly code: string
  /** For the operator's log. */
  readonly details: string

  constructor(
    details: string,
    options: { status?: 400 | 502; code?: string | undefined; cause?: unknown } = {},
  ) {
    const { status = 502, code, cause } = options
    super(
      status === 400
        ? 'The model refused the request as invalid. Check its parameters.'
        : 'The model is out of reach. Try again later.',
      { cause },
    )
    this.status = status
    this.code = code ?? (status === 400 ? 'invalid_request' : 'upstream_failed')
    this.details = details
  }
}
