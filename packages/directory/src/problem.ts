/** Refusals, as RFC 9457 writes them. */

/** A request that can't be answered as asked. The message says what is wrong, `action` what to do. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly status: number
  readonly code: string
  readonly action: string | undefined
  readonly details: Record<string, unknown>
  readonly headers: Record<string, string>

  constructor(
    status: number,
    code: string,
    message: string,
    options: { action?: string; details?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.action = options.action
    this.details = options.details ?? {}
    this.headers = options.headers ?? {}
  }

  toJson(): Record<string, unknown> {
    const { status, code, message, action, details } = this
    return { ...details, type: 'about:blank', title: message, status, code, ...(action && { action }) }
  }

  toResponse(): Response {
    return Response.json(this.toJson(), {
      status: this.status,
      headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', ...this.headers },
    })
  }
}

export const notFound = (what: string, action?: string) =>
  new Problem(404, 'not_found', `There is no ${what}.`, action ? { action } : {})

export const invalid = (message: string, action?: string) =>
  new Problem(400, 'invalid_request', message, action ? { action } : {})
