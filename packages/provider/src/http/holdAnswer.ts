/** Node's responses, held back until they are paid for. */
import type { ServerResponse } from 'node:http'
import { costHeaders } from './costHeaders.ts'
import { sendPlain } from './nodeAnswer.ts'
import type { Payment } from './Payment.ts'
import { plainRefusal } from './responses.ts'

type Loose = (...args: unknown[]) => unknown

/**
 * Holds back what is written to a response until the payment is settled, then adds the cost headers and lets it through.
 * Nothing paid leaves before its charge is durable; a charge that fails turns the answer into a 503.
 *
 * The answer's status decides whether it is charged: below 400, or when a cost was reported. A deferred payment (a metered
 * stream) charges by itself, so its answer passes as it comes. The answer to a request that may be repeated is held to its
 * end, as far as it is kept, since it is kept in the step that charges it.
 */
export function holdAnswer(res: ServerResponse, payment: Payment): void {
  const held: (() => unknown)[] = []
  const parts: Buffer[] = []
  let size = 0
  let isHolding = false
  let isPretending = false
  let isSettling = false
  let hasEnded = false
  let head: { status: number; headers: [string, string][] } | undefined
  const maxKept = payment.keepsAnswer ? payment.streams.maxAnswerBytes : 0
  let isKept = payment.keepsAnswer
  const original = {
    writeHead: res.writeHead as Loose,
    write: res.write as Loose,
    end: res.end as Loose,
    flushHeaders: res.flushHeaders as Loose,
  }

  res.once('close', () => payment.abandon())

  function restore(): void {
    isPretending = false
    Object.assign(res, original)
  }

  /** Whoever asks is told what has been said, though nobody has heard it yet. */
  function pretend(): void {
    isPretending = true
    const real = (name: 'headersSent' | 'writableEnded') => Reflect.get(Object.getPrototypeOf(res), name, res)
    Object.defineProperties(res, {
      headersSent: { configurable: true, get: () => isPretending || real('headersSent') },
      writableEnded: { configurable: true, get: () => (isPretending ? hasEnded : real('writableEnded')) },
    })
  }

  function settle(): void {
    if (isSettling) return
    isSettling = true
    const { status, headers } = head ?? { status: res.statusCode, headers: [] }
    const answer =
      hasEnded && isKept
        ? { status, headers: namesAndValues(res, headers), body: Buffer.concat(parts) }
        : undefined
    payment
      .settle(status < 400, answer)
      .then(
        (costs) => letThrough(costHeaders(costs)),
        () => {
          restore()
          for (const name of res.getHeaderNames()) res.removeHeader(name)
          const message = 'The ledger is out of reach; the request is not charged.'
          sendPlain(res, plainRefusal({ code: 'unavailable', message }))
        },
      )
      // What the handler wrote cannot be sent, such as a header with a line break: Node says so only now.
      .catch(() => res.destroy())
  }

  function letThrough(extra: Record<string, string>): void {
    restore()
    for (const name in extra) res.setHeader(name, extra[name] as string)
    const hasCacheControl =
      res.hasHeader('Cache-Control') || head?.headers.some(([name]) => name.toLowerCase() === 'cache-control')
    if (!hasCacheControl) res.setHeader('Cache-Control', 'private')
    for (const replay of held) replay()
    if (held.length > 0 && !hasEnded) res.emit('drain')
  }

  /** Whether a call is to be held. Metered streams have charged for what they write. */
  function holds(): boolean {
    if (isHolding || !payment.isDeferred) {
      if (!isHolding) pretend()
      isHolding = true
      return true
    }
    letThrough(costHeaders({ channelId: payment.channelId }))
    return false
  }

  /** Whether what was written up to now is kept in memory, and can go on being so. */
  function keep(chunk: unknown, encoding: unknown): boolean {
    if (!isKept) return false
    // Events that the handler sends by itself: keeping them would hold them back.
    const type = head?.headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1]
    if (String(type ?? res.getHeader('Content-Type') ?? '').startsWith('text/event-stream')) isKept = false
    const isText = typeof chunk === 'string'
    if (isText || chunk instanceof Uint8Array) {
      const charset = typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'
      const bytes = isText ? Buffer.from(chunk, charset) : Buffer.from(chunk)
      size += bytes.length
      if (size > maxKept) isKept = false
      else parts.push(bytes)
    }
    return isKept
  }

  Object.assign(res, {
    writeHead(...args: unknown[]) {
      if (!holds()) return original.writeHead.apply(res, args)
      head ??= { status: args[0] as number, headers: headersIn(args.at(-1)) }
      held.push(() => original.writeHead.apply(res, args))
      if (!isKept) settle()
      return res
    },
    write(...args: unknown[]) {
      if (!holds()) return original.write.apply(res, args)
      const isWritten = args.at(-1)
      if (!keep(args[0], args[1])) {
        held.push(() => original.write.apply(res, args))
        settle()
        return false
      }
      // Nobody is to wait for what is sent at the end only: neither for room, nor for the call.
      const rest = typeof isWritten === 'function' ? args.slice(0, -1) : args
      held.push(() => original.write.apply(res, rest))
      if (typeof isWritten === 'function') process.nextTick(isWritten)
      return true
    },
    end(...args: unknown[]) {
      if (!holds()) return original.end.apply(res, args)
      held.push(() => original.end.apply(res, args))
      keep(args[0], args[1])
      hasEnded = true
      settle()
      return res
    },
    flushHeaders() {
      if (!holds()) return original.flushHeaders.apply(res, [])
      held.push(() => original.flushHeaders.apply(res, []))
      if (!isKept) settle()
    },
  })
}

/** The headers among the arguments of `writeHead`: an object, or a list of names and values by turns or in pairs. */
function headersIn(given: unknown): [string, string][] {
  if (typeof given !== 'object' || given === null) return []
  if (!Array.isArray(given)) {
    return Object.entries(given).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, String(one)]),
    )
  }
  if (Array.isArray(given[0])) return given.map(([name, value]) => [String(name), String(value)])
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < given.length; index += 2) {
    pairs.push([String(given[index]), String(given[index + 1])])
  }
  return pairs
}

function namesAndValues(res: ServerResponse, written: [string, string][]): [string, string][] {
  const names = new Set(written.map(([name]) => name.toLowerCase()))
  const set = Object.entries(res.getHeaders()).filter(([name]) => !names.has(name))
  return [...headersIn(Object.fromEntries(set)), ...written]
}
