import { Refusal } from './problem.ts'

/** A JSON object of whatever origin. */
export type JsonObject = { [name: string]: unknown }

/** The body of a request, of at most `maxBytes`. @throws {Refusal} */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => new Refusal(413, 'too_large', `The body has more than ${maxBytes} bytes.`)
  if (Number(request.headers.get('Content-Length') ?? 0) > maxBytes) throw tooLarge()
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of request.body ?? []) {
    size += part.length
    if (size > maxBytes) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** The JSON object that `what` (the body, a message) holds. @throws {Refusal} */
export function parseObject(text: string | Uint8Array, what: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(
      typeof text === 'string' ? text : new TextDecoder('utf-8', { fatal: true }).decode(text),
    )
  } catch {
    // Told below.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal(400, 'invalid_request', `${what} is not a JSON object. GET /v1/docs has an example.`)
  return value as JsonObject
}

/** A number of an input, `fallback` where it is left out. @throws {Refusal} */
export function numberIn(
  input: JsonObject,
  name: string,
  {
    least,
    most,
    whole = false,
    fallback,
  }: { least: number; most: number; whole?: boolean; fallback?: number },
): number {
  const value = input[name] ?? fallback
  const isRight = whole ? Number.isSafeInteger(value) : Number.isFinite(value)
  if (isRight && Number(value) >= least && Number(value) <= most) return Number(value)
  const kind = whole ? 'a whole number' : 'a number'
  throw new Refusal(400, 'invalid_request', `\`${name}\` must be ${kind} from ${least} to ${most}.`)
}

/** A text of an input. @throws {Refusal} */
export function textIn(input: JsonObject, name: string, most: number): string {
  const value = input[name]
  if (typeof value === 'string' && value.length > 0 && value.length <= most) return value
  throw new Refusal(400, 'invalid_request', `\`${name}\` must be a text of 1 to ${most} characters.`)
}

/** One of some names. @throws {Refusal} */
export function choiceIn<const name extends string>(
  input: JsonObject,
  field: string,
  names: readonly name[],
  fallback?: name,
): name {
  const value = input[field] ?? fallback
  const found = names.find((name) => name === value)
  if (found !== undefined) return found
  throw new Refusal(400, 'invalid_request', `\`${field}\` must be one of ${names.join(', ')}.`)
}
