/** Responses of this service's own routes. */

/** An error in OpenAI's shape, which clients of that API know how to show. Readable from any origin. */
export function problem(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  const type = status >= 500 ? 'api_error' : 'invalid_request_error'
  return Response.json(
    { error: { message, type, param: null, code } },
    { status, headers: { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-store', ...headers } },
  )
}
