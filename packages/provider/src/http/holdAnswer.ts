/** Node's responses, held back until they are paid for. */
import type { ServerResponse } from 'node:http'
import { costHeaders } from './costHeaders.ts'
import { refuseUnsettled } from './failures.ts'
import type { Payment } from './Payment.ts'

type Loose = (...args: unknown[]) => unknown
type Call = { method: Loose; args: unknown[] }

/**
 * Holds back what is written to a response until the payment is settled, then adds the cost headers and lets it through.
 * Nothing paid leaves before its charge is durable; a charge that fails turns the answer into a 503.
 *
 * The answer's status decides whether it is charged: below 400, or when a cost was reported. A deferred payment (a metered
 * stream) charges by itself, so its answer passes as it comes. The answer to a request that may be repeated is held to its
 * end, as far as it is kept, since it is kept in the step that charges it.
 *
 * It goes from `holding` to `open` or `refused`, once. The methods that it puts on the response stay there, since whoever
 * wraps the response later has kept them: open, they pass on; refused, they swallow.
 */
export function holdAnswer(res: ServerResponse, payment: Payment): void {
  let state: 'holding' | 'open' | 'refused' = 'holding'
  let said: Said | undefined
  let isSettling = false
  let head: { status: number; headers: [string, string][] } | undefined
  const held: Call[] = []
  const parts: Buffer[] = []
  let size = 0
  const maxKept = payment.keepsAnswer ? payment.streams.maxAnswerBytes : 0
  let isKept = payment.keepsAnswer
  const writeHead = res.writeHead as Loose
  const write = res.write as Loose
  const end = res.end as Loose
  const flushHeaders = res.flushHeaders as Loose
  const destroy = res.destroy as Loose

  res.once('close', () => payment.abandon())

  /** Whether a call is not to reach the client, or not yet. Metered streams have charged for what they write. */
  function isHeld(): boolean {
    if (state !== 'holding') return state === 'refused'
    if (!said && payment.isDeferred) {
      open(costHeaders(payment, undefined, res.statusCode))
      return false
    }
    said ??= pretend(res)
    return true
  }

  function hold(method: Loose, args: unknown[]): void {
    if (state === 'holding') held.push({ method, args })
    else notify(args)
  }

  function settle(): void {
    if (isSettling) return
    isSettling = true
    const { status, headers } = head ?? { status: res.statusCode, headers: [] }
    const answer =
      said?.isOver && isKept
        ? { status, headers: namesAndValues(res, headers), body: Buffer.concat(parts) }
        : undefined
    payment
      .settle(status < 400, answer)
      .then((costs) => open(costHeaders(payment, costs, status)), refuse)
      // What the handler wrote cannot be sent, such as a header with a line break: Node says so only now.
      .catch(() => res.destroy())
  }

  function open(extra: Record<string, string>): void {
    if (state !== 'holding') return
    state = 'open'
    if (said) said.isHeard = true
    for (const name in extra) res.setHeader(name, extra[name] as string)
    const hasCacheControl =
      res.hasHeader('Cache-Control') || head?.headers.some(([name]) => name.toLowerCase() === 'cache-control')
    if (!hasCacheControl) res.setHeader('Cache-Control', 'private')
    for (const { method, args } of held) method.apply(res, args)
    if (held.length > 0 && !said?.isOver) res.emit('drain')
  }

  function refuse(error: unknown): void {
    if (state !== 'holding') return
    state = 'refused'
    if (said) said.isHeard = true
    for (const name of res.getHeaderNames()) res.removeHeader(name)
    const { status, headers, body } = refuseUnsettled(error, payment)
    writeHead.call(res, status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
    end.call(res, body)
    for (const { args } of held) notify(args)
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
      if (!isHeld()) return writeHead.apply(res, args)
      if (state === 'refused') return res
      head ??= { status: args[0] as number, headers: headersIn(args.at(-1)) }
      hold(writeHead, args)
      if (!isKept) settle()
      return res
    },
    write(...args: unknown[]) {
      if (!isHeld()) return write.apply(res, args)
      if (state === 'refused' || !keep(args[0], args[1])) {
        hold(write, args)
        settle()
        return false
      }
      // Nobody is to wait for what is sent at the end only: neither for room, nor for the call.
      hold(write, typeof args.at(-1) === 'function' ? args.slice(0, -1) : args)
      notify(args)
      return true
    },
    end(...args: unknown[]) {
      if (!isHeld()) return end.apply(res, args)
      keep(args[0], args[1])
      hold(end, args)
      if (said) said.isOver = true
      settle()
      return res
    },
    flushHeaders() {
      if (!isHeld()) return flushHeaders.apply(res, [])
      if (state === 'refused') return
      hold(flushHeaders, [])
      if (!isKept) settle()
    },
    destroy(...args: unknown[]) {
      // The work has given up, as frameworks do for a body that fails: it reports nothing more. A metered stream reports itself.
      if (state === 'holding' && !payment.isDeferred) payment.settle(false).catch(() => {})
      return destroy.apply(res, args)
    },
  })
}

/** What has been said to a response, though nobody has heard it yet. */
type Said = { isOver: boolean; isHeard: boolean }

const saying = Symbol('what has been said')
type Pretending = ServerResponse & { [saying]?: Said }

/** Whoever asks the response is told what has been said. */
function pretend(res: Pretending): Said {
  const said = { isOver: false, isHeard: false }
  res[saying] = said
  Object.defineProperties(res, pretences)
  return said
}

/** Shared by all responses, which keeps them quick. */
const pretences: PropertyDescriptorMap & ThisType<Pretending> = {
  headersSent: {
    configurable: true,
    get() {
      return this[saying]?.isHeard === false || realOf(this, 'headersSent')
    },
  },
  writableEnded: {
    configurable: true,
    get() {
      return this[saying]?.isHeard === false ? this[saying].isOver : realOf(this, 'writableEnded')
    },
  },
}

function realOf(res: ServerResponse, name: 'headersSent' | 'writableEnded'): unknown {
  return Reflect.get(Object.getPrototypeOf(res), name, res)
}

/** Calls back whoever waits for a call that is not made, or later. */
function notify(args: unknown[]): void {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback as () => void)
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
