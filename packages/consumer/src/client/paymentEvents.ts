/**
 * Takes this protocol's own events out of a server-sent event stream: readers such as OpenAI's SDK parse every event as
 * theirs. Everything else passes byte for byte, each event as soon as its blank line has come.
 *
 * Source: the event stream format of the HTML standard: lines end in LF, CR or CRLF, a blank line ends an event.
 */
export type PaymentEventFilter = {
  /** The bytes to pass on; may be empty. */
  push(chunk: Uint8Array): Uint8Array
  /** The bytes left at the end of the stream. */
  flush(): Uint8Array
}

/** An event that was taken out. */
export type PaymentEvent = { name: string; data: string }

const taken = new Set(['payment-receipt', 'payment-need-voucher'])

/** An event longer than this passes unread, so that a stream without blank lines takes no more memory. */
const longest = 1 << 20

const LF = 10
const CR = 13

export function createPaymentEventFilter(onEvent: (event: PaymentEvent) => void): PaymentEventFilter {
  /** The event so far, whose blank line hasn't come. */
  let held: Uint8Array = new Uint8Array()
  /** How much of `held` was looked at. */
  let scanned = 0
  let lineIsEmpty = true
  let afterCarriageReturn = false
  /** The last event ended with the chunk, in CR: an LF that comes next still belongs to it. */
  let lineFeedOf: 'passed' | 'taken' | undefined
  let passRest = false

  /** The index after the blank line that ends the event at the start of `held`, or -1. */
  function endOfEvent(): number {
    while (scanned < held.length) {
      const byte = held[scanned++]
      const isSecondOfPair = byte === LF && afterCarriageReturn
      afterCarriageReturn = byte === CR
      if (isSecondOfPair) continue
      if (byte !== LF && byte !== CR) {
        lineIsEmpty = false
      } else if (lineIsEmpty) {
        if (byte === CR && held[scanned] === LF) scanned++
        return scanned
      } else {
        lineIsEmpty = true
      }
    }
    return -1
  }

  function passes(event: Uint8Array): boolean {
    const parsed = passRest ? undefined : parse(event)
    passRest = false
    if (!parsed || !taken.has(parsed.name)) return true
    onEvent(parsed)
    return false
  }

  return {
    push(chunk) {
      const passed: Uint8Array[] = []
      held = held.length === 0 ? chunk : concat([held, chunk])
      if (lineFeedOf && held.length > 0) {
        if (held[0] === LF) {
          if (lineFeedOf === 'passed') passed.push(held.subarray(0, 1))
          held = held.subarray(1)
        }
        lineFeedOf = undefined
      }
      for (let end = endOfEvent(); end >= 0; end = endOfEvent()) {
        const event = held.subarray(0, end)
        const pass = passes(event)
        if (pass) passed.push(event)
        if (end === held.length && held[end - 1] === CR) lineFeedOf = pass ? 'passed' : 'taken'
        held = held.subarray(end)
        scanned = 0
        lineIsEmpty = true
        afterCarriageReturn = false
      }
      if (held.length > longest) {
        passed.push(held)
        held = new Uint8Array()
        scanned = 0
        passRest = true
      }
      return concat(passed)
    },
    flush() {
      const rest = held
      held = new Uint8Array()
      return rest.length > 0 && passes(rest) ? rest : new Uint8Array()
    },
  }
}

const decoder = new TextDecoder()

/** Name and data of an event; the last `event` field counts, `data` fields are joined by line feeds. */
function parse(event: Uint8Array): PaymentEvent {
  let name = ''
  const data: string[] = []
  for (const line of decoder.decode(event).split(/\r\n|\r|\n/)) {
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') name = value
    else if (field === 'data') data.push(value)
  }
  return { name, data: data.join('\n') }
}

function concat(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0]
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
