import { Voucher } from '@drain/core'
import type { ChannelBook, Slip } from './ChannelBook.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import type { Price } from './PriceList.ts'
import { discard } from './readJson.ts'

/**
 * Raises the voucher of a stream that runs: a step at a time, never above the request's price, and only while something
 * comes. What was granted before must have arrived: at least a byte for each token of it.
 */
export function createRaising(options: {
  fetch: typeof globalThis.fetch
  signer: Pick<ChannelSigner, 'signVoucher'>
  book: Pick<ChannelBook, 'extend' | 'get'>
  slip: Slip
  price: Price
  origin: string
}) {
  const { fetch, signer, book, price, origin } = options
  let slip = options.slip
  let received = 0
  /** Tokens granted so far, the first step included. */
  let granted = price.steps?.tokens ?? 0
  const over = new AbortController()
  /** It was asked for before what was granted had come. */
  let isAsked = false
  /** Asked for, and not yet looked at. However often it is asked for meanwhile, it is looked at once. */
  let isWanted = false
  let running: Promise<void> | undefined

  /** What the next step adds, or nothing when none is due. */
  function nextStep(): { by: bigint; tokens: number } | undefined {
    const { steps, most } = price
    if (!steps || over.signal.aborted || received < granted) return undefined
    const left = most - slip.quote
    const by = steps.step < left ? steps.step : left
    return by > 0n ? { by, tokens: steps.tokens } : undefined
  }

  async function raise(): Promise<void> {
    const next = nextStep()
    isAsked = !next
    if (!next) return
    // A limit that forbids it ends the stream, as a voucher that is used up does.
    const raised = await book.extend(slip, next.by).catch(() => undefined)
    if (!raised) return
    slip = raised
    granted += next.tokens
    const record = book.get(slip.channelId)
    const voucher = await signer.signVoucher(record, slip, { withProof: false })
    const response = await fetch(`${origin}/v1/vouchers`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'Content-Type': 'application/json' },
      body: Voucher.toHeader(voucher),
      signal: AbortSignal.any([over.signal, AbortSignal.timeout(patience)]),
    })
    await discard(response)
  }

  async function raiseWhileWanted(): Promise<void> {
    while (isWanted) {
      isWanted = false
      // A voucher that doesn't arrive ends the stream, and costs nothing that isn't reserved.
      await raise().catch(() => {})
    }
    running = undefined
  }

  function raiseInTurn(): void {
    isWanted = true
    running ??= raiseWhileWanted()
  }

  return {
    /** So many bytes of content came. */
    received(bytes: number): void {
      received += bytes
      if (isAsked && received >= granted) raiseInTurn()
    },
    get hasContent(): boolean {
      return received > 0
    },
    /** The provider asks for another voucher. What it asks for is not looked at. */
    raise: raiseInTurn,
    /** No more is paid. The slip as it stands then. */
    async stop(): Promise<Slip> {
      // What was signed counts, whether or not it arrived: the end doesn't wait for the provider's word on it.
      over.abort()
      await running
      return slip
    },
  }
}

/** How long a provider may take to accept a voucher, in milliseconds. */
const patience = 30_000
