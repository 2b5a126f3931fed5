/** Answers as they are kept for retries of their requests. */
import type { Ended } from '../stream/frames.ts'

/** What a request was answered. */
export type Answer = {
  status: number
  headers: Iterable<[name: string, value: string]>
  body: Uint8Array
  /** Of a metered stream: why it ended. Its body has the events only; the receipt is written when it is sent again. */
  ended?: Ended | undefined
}

/** Headers that belong to one connection or one moment, and are not told again. */
const passing = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'payment-receipt',
  'proxy-authenticate',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const lineFeed = 10

/** One line of JSON, then the body as it is; nothing when that is longer than `maxBytes`, or no `Response` can have its status. */
export function encodeAnswer(answer: Answer, maxBytes: number): Uint8Array | undefined {
  const { status, body, ended } = answer
  if (!Number.isInteger(status) || status < 200 || status > 599) return undefined
  const headers = [...answer.headers].filter(([name]) => {
    const lower = name.toLowerCase()
    return !passing.has(lower) && !lower.startsWith('x-drain-') && !lower.startsWith('x-payment-')
  })
  const head = encoder.encode(`${JSON.stringify({ status, headers, ended })}\n`)
  if (head.length + body.length > maxBytes) return undefined
  const bytes = new Uint8Array(head.length + body.length)
  bytes.set(head)
  bytes.set(body, head.length)
  return bytes
}

/** @throws {SyntaxError | TypeError} When it isn't one. */
export function decodeAnswer(bytes: Uint8Array): Answer {
  const end = bytes.indexOf(lineFeed)
  const { status, headers, ended } = JSON.parse(decoder.decode(bytes.subarray(0, end)))
  return { status, headers, ended, body: bytes.subarray(end + 1) }
}
