/** This directory's API. */

/** A refusal, as RFC 9457 writes it. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly action: string
  /** What is wrong with which field, where it says so. */
  readonly fields: readonly { field: string; problem: string }[]
  readonly details: Record<string, unknown>

  constructor(status: number, body: Record<string, unknown>) {
    super(typeof body.title === 'string' ? body.title : `The directory answers ${status}.`)
    this.status = status
    this.code = String(body.code ?? '')
    this.action = typeof body.action === 'string' ? body.action : ''
    this.fields = Array.isArray(body.fields) ? body.fields : []
    this.details = body
  }
}

/**
 * @param token Goes along as `Authorization: Bearer`.
 * @throws {ApiError}
 */
export async function call<answer>(
  method: 'GET' | 'POST' | 'PUT',
  path: string,
  body?: unknown,
  token?: string,
): Promise<answer> {
  return (await send(method, path, body, token)).json() as Promise<answer>
}

/** The answer's lines as they come: a JSON object each. @throws {ApiError} */
export async function* callForLines<line>(path: string, body: unknown): AsyncGenerator<line> {
  const { body: stream } = await send('POST', path, body)
  let rest = ''
  for await (const text of stream?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line)
  }
  if (rest.trim() !== '') yield JSON.parse(rest)
}

async function send(method: string, path: string, body: unknown, token?: string): Promise<Response> {
  const response = await fetch(path, {
    method,
    headers: {
      Accept: 'application/json',
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Error('The directory does not answer. Check your connection, and try again.')
  })
  if (response.ok) return response
  throw new ApiError(response.status, await response.json().catch(() => ({})))
}
