/** An answer as data: where a server takes one directly, building a `Response` would cost more than all the rest. */
export type PlainAnswer = { status: number; headers: Record<string, string>; body: string }

/** The same as a web-standard response. */
export function toResponse({ status, headers, body }: PlainAnswer): Response {
  return new Response(body, { status, headers })
}
