import type { Channel, Deployment } from '@drain/core'
import { type Address, type Hex, isAddressEqual } from 'viem'
import { nextNonce } from '../nonce.ts'
import type { Book, Page, View } from './Book.ts'
import * as Limits from './Limits.ts'
import { type ChannelRecord, type Flight, type OpeningRecord, type SessionRecord, wireOf } from './records.ts'
import * as Spent from './Spent.ts'
import * as Tally from './Tally.ts'

/** A reserved place for one request on one channel: what to sign for it. */
export type Slip = {
  /** Names it among the requests under way on its channel. */
  id: string
  channelId: Hex
  /** What is reserved for the request. */
  quote: bigint
  /** The cumulative amount to sign. */
  amount: bigint
  nonce: bigint
}

/** A slip, and whether the next channel should be opened soon. */
export type Taken = { slip: Slip; isRunningLow: boolean }

/** How a request ended that was answered. */
export type Answered = {
  /** What the answer says it cost, and the channel in all. */
  cost: bigint
  total: bigint
  /** It was given before: then it says nothing of its own cost. */
  isRepeat: boolean
}

/** What is known of a channel that comes into the book. */
type Entry = {
  origin: string
  duration: bigint
  session?: SessionRecord | undefined
  tally: Tally.Tally
  state: 'open' | 'retired'
}

/** How long a client vouches for its requests under way before it has to do so again, in milliseconds. */
export const flightTime = 300_000

/**
 * A client's channels: what each request may sign, and what came of it. Each change is one step of the book, durable when
 * its promise resolves.
 */
export type ChannelBook = ReturnType<typeof createChannelBook>

export function createChannelBook(options: {
  book: Book
  deployment: Deployment.Deployment
  consumer: Address
  limits: Limits.Limits
  /** Names this client among those that share the store. */
  client: string
  /** Unix milliseconds. */
  now: () => number
}) {
  const { book, deployment, consumer, limits, client, now } = options
  /** Channels whose nonces this client has seen to be current. */
  const counted = new Set<Hex>()
  /** The slips that this client has given out, by id, until their requests end. */
  const live = new Set<string>()
  let slips = 0

  const seconds = () => BigInt(Math.floor(now() / 1_000))
  const list = (view: View = book.view) => [...view.list('channel')]
  const find = (channelId: Hex, view: View = book.view) => view.get('channel', channelId)
  /** A channel of an origin that is not closed: all of them have one provider and one wire. */
  const openedAt = (origin: string, view?: View) =>
    list(view).find((record) => record.origin === origin && record.state !== 'closed')

  function get(channelId: Hex, view?: View): ChannelRecord {
    const record = find(channelId, view)
    if (!record) throw new Error(`no channel ${channelId} in the book`)
    return record
  }

  function put(page: Page, record: ChannelRecord): ChannelRecord {
    page.put('channel', record.channelId, record)
    return record
  }

  /** Whether nobody vouches for a request: of its own ones a client knows which there are. A store may have failed after writing. */
  const isStray = ([id, flight]: [string, Flight]) =>
    flight.client === client ? !live.has(id) : isOver(flight, now())

  /** A channel as it is now: what nobody vouches for any more is lost. */
  function current(page: Page, channelId: Hex): ChannelRecord {
    const record = get(channelId, page)
    const over = Object.entries(record.flights).filter(isStray)
    let { tally } = record
    const flights = { ...record.flights }
    for (const [id, { quote }] of over) {
      tally = Tally.lose(tally, quote)
      delete flights[id]
    }
    return over.length > 0 ? { ...record, tally, flights } : record
  }

  /**
   * The next nonce. A store that was restored has missed the last ones, so a client that begins on a channel starts above
   * the clock, unless others are at work on it: theirs would then come too late.
   */
  function countUp(record: ChannelRecord): bigint {
    const fromClock = nextNonce(undefined, now())
    const isNew = !counted.has(record.channelId) && Object.keys(record.flights).length === 0
    counted.add(record.channelId)
    const last = isNew && record.nonce !== undefined && record.nonce < fromClock ? undefined : record.nonce
    return nextNonce(last, now())
  }

  /** Puts an amount down as signed for a request, under a fresh nonce, unless a limit forbids it. */
  function promise(
    page: Page,
    record: ChannelRecord,
    to: { id: string; tally: Tally.Tally; amount: bigint; quote: bigint },
  ): Slip {
    const { id, tally, amount, quote } = to
    Limits.assertRequest(limits, quote)
    const raise = tally.signed - record.tally.signed
    Limits.assertDay(limits, Spent.today(page, now()), raise)
    Spent.add(page, now(), { promised: raise, charged: tally.charged - record.tally.charged })
    const nonce = countUp(record)
    const flight: Flight = { quote, client, until: now() + flightTime }
    const { channelId } = put(page, { ...record, tally, nonce, flights: { ...record.flights, [id]: flight } })
    return { id, channelId, quote, amount, nonce }
  }

  /**
   * Takes a request off its channel. One that was given up by others meanwhile is taken off what is lost; one that a failing
   * store has raised unnoticed holds no more than its slip says.
   */
  function land(page: Page, { id, channelId, quote }: Slip): ChannelRecord {
    const record = current(page, channelId)
    const { [id]: flight, ...flights } = record.flights
    let { lost, inFlight } = record.tally
    if (flight) inFlight -= flight.quote
    else lost -= quote
    return { ...record, flights, tally: { ...record.tally, lost, inFlight: inFlight + quote } }
  }

  /**
   * Writes down how a request ended, and tells what was delivered by it; once. A store that fails then gets it with the next
   * step.
   */
  async function end(slip: Slip, settle: (tally: Tally.Tally) => Tally.Tally): Promise<bigint> {
    if (!live.has(slip.id)) return 0n
    const { tally: known } = get(slip.channelId)
    let delivered = settle(known).delivered - known.delivered
    await book.note((page, late) => {
      if (late && !get(slip.channelId, page).flights[slip.id]) return
      const record = land(page, slip)
      const tally = settle(record.tally)
      // What the provider got in all is counted, once that is known.
      const isCounted = record.finalAmount !== undefined
      if (!isCounted) Spent.add(page, now(), { charged: tally.charged - record.tally.charged })
      put(page, { ...record, tally })
      delivered = tally.delivered - record.tally.delivered
    })
    live.delete(slip.id)
    return delivered
  }

  /** Whether a channel has time left before its provider stops serving it. */
  function isTimely({ expiry, duration }: ChannelRecord, margins = 1n): boolean {
    return seconds() + margins * expiryMargin(duration) < expiry
  }

  /** An origin's open channels that a request of this price fits in, those that end soonest first. */
  function usable(view: View, origin: string, quote: bigint): ChannelRecord[] {
    return list(view)
      .filter((record) => record.origin === origin && record.state === 'open' && isTimely(record))
      .filter(({ tally }) => Tally.remaining(tally) >= quote)
      .sort((a, b) => (a.expiry < b.expiry ? -1 : 1))
  }

  /** Takes a channel in. Of one that is in already, what wasn't known of it: its origin, or its key. */
  function enter(page: Page, channel: Channel.Channel, to: Entry): ChannelRecord {
    const known = find(channel.id, page)
    const { origin, duration, session, tally, state } = to
    if (known && (known.state === 'closed' || origin === '')) return known
    if (known && known.origin !== '') {
      return session && !known.session ? put(page, { ...known, session, state }) : known
    }
    return put(page, {
      channelId: channel.id,
      chainId: deployment.chainId,
      contract: deployment.contract,
      consumer,
      provider: channel.provider,
      origin,
      expiry: channel.expiry,
      duration,
      state,
      tally,
      flights: {},
      knownAt: known?.knownAt ?? now(),
      nonce: known?.nonce,
      ...(session && { session }),
      wire: openedAt(origin, page)?.wire,
    })
  }

  function change(channelId: Hex, to: Partial<ChannelRecord>): Promise<void> {
    return book.step((page) => {
      const record = current(page, channelId)
      if (record.state !== 'closed') put(page, { ...record, ...to })
    })
  }

  return {
    /** Reads what others have written since the last step. */
    refresh: (): Promise<void> => book.step(() => {}),
    get: (channelId: Hex): ChannelRecord => get(channelId),
    find: (channelId: Hex): ChannelRecord | undefined => find(channelId),
    list: (): ChannelRecord[] => list(),

    /** Takes a channel in that an opening has led to. */
    add(
      channel: Channel.Channel,
      to: { origin: string; duration: bigint; session?: SessionRecord | undefined },
    ): Promise<ChannelRecord> {
      return book.step((page) => {
        page.remove('opening', to.origin)
        return enter(page, channel, { ...to, tally: Tally.start(channel.deposit), state: 'open' })
      })
    },
    /**
     * Takes a channel in that was found on the chain, or binds one to an origin that was found before; unless it may be that of
     * an opening under way, whose client knows more of it.
     */
    async adopt(channel: Channel.Channel, to: Entry): Promise<void> {
      await book.step((page) => {
        const openings = [...page.list('opening')]
        if (!openings.some((opening) => leadsTo(opening, channel))) enter(page, channel, to)
      })
    },
    /** Whom an origin is bound to: the provider of its channels that are not closed. */
    providerOf: (origin: string): Address | undefined => openedAt(origin)?.provider,
    /** The name of the wire that an origin's vouchers go through, where there are any. */
    wireOf(origin: string): string | undefined {
      const record = openedAt(origin)
      return record && wireOf(record)
    },
    /** The origin was paid in another way than before. */
    setWire(origin: string, wire: string): Promise<void> {
      return book.step((page) => {
        for (const record of list(page)) {
          if (record.origin === origin && record.state !== 'closed') put(page, { ...record, wire })
        }
      })
    },
    /** The channels that a request of this price has room on. */
    usable: (origin: string, quote: bigint): ChannelRecord[] => usable(book.view, origin, quote),

    /**
     * A place for a request on one of its origin's channels, or `undefined` when none has room or time for it.
     *
     * @throws {LimitExceededError}
     */
    async take(origin: string, quote: bigint): Promise<Taken | undefined> {
      const id = `${client}.${++slips}`
      let taken: Taken | undefined
      live.add(id)
      const step = book.step((page) => {
        for (const { channelId } of list(page)) {
          const record = find(channelId, page)
          if (record?.origin === origin && record.state === 'open') {
            const now = current(page, channelId)
            if (now !== record) put(page, now)
          }
        }
        const [record, ...others] = usable(page, origin, quote)
        const reserved = record && Tally.reserve(record.tally, quote)
        if (!record || !reserved) return undefined
        const slip = promise(page, record, { ...reserved, id, quote })
        return { slip, isRunningLow: others.length === 0 && isRunningLow(get(slip.channelId, page), quote) }
      })
      try {
        taken = await step
        return taken
      } finally {
        if (!taken) live.delete(id)
      }
    },
    /**
     * Another slip for the same request, after the provider asked for `required` in all with a price of `quote`.
     *
     * @throws {LimitExceededError} The old slip then still holds its place.
     */
    reconcile(
      slip: Slip,
      quote: bigint,
      required: bigint,
    ): Promise<Slip | 'unbelievable' | 'undelivered' | 'exhausted'> {
      return book.step((page) => {
        const record = land(page, slip)
        const result = Tally.reconcile(record.tally, slip.quote, quote, required, limits.undelivered)
        if (typeof result === 'string') return result
        return promise(page, record, { ...result, id: slip.id, quote })
      })
    },
    /** The same slip to be sent again, under another nonce: it promises nothing new. */
    repeat(slip: Slip): Promise<Slip> {
      return book.step((page) => {
        const nonce = countUp(current(page, slip.channelId))
        put(page, { ...current(page, slip.channelId), nonce })
        return { ...slip, nonce }
      })
    },
    /**
     * More for a request under way, or `undefined` when the deposit doesn't hold it, or the channel is being closed.
     *
     * @throws {LimitExceededError}
     */
    extend(slip: Slip, by: bigint): Promise<Slip | undefined> {
      return book.step((page) => {
        const record = current(page, slip.channelId)
        const reserved = Tally.reserve(record.tally, by)
        if (!reserved || record.state !== 'open' || !record.flights[slip.id]) return undefined
        return promise(page, record, { ...reserved, id: slip.id, quote: slip.quote + by })
      })
    },
    /** The answer came and told its cost. Resolves with what of that is believed. */
    settle(slip: Slip, { cost, total, isRepeat }: Answered): Promise<bigint> {
      return end(slip, (tally) =>
        isRepeat
          ? Tally.settleRepeat(tally, slip.quote, total, limits.undelivered)
          : Tally.settle(tally, slip.quote, { cost, total }, limits.undelivered),
      )
    },
    /** It may have been charged; nobody said so. */
    async lose(slip: Slip): Promise<void> {
      await end(slip, (tally) => Tally.lose(tally, slip.quote))
    },
    /** The caller left a stream after something had come of it. */
    async leave(slip: Slip): Promise<void> {
      await end(slip, (tally) => Tally.leave(tally, slip.quote))
    },
    /** It was refused or never sent. */
    async release(slip: Slip): Promise<void> {
      await end(slip, (tally) => Tally.release(tally, slip.quote))
    },
    /** Vouches for this client's requests under way for some time more. */
    async renew(): Promise<void> {
      if (live.size === 0) return
      await book.step((page) => {
        for (const record of list(page)) {
          const own = Object.entries(record.flights).filter(([id]) => live.has(id))
          if (own.length === 0) continue
          const renewed = own.map(([id, flight]) => [id, { ...flight, until: now() + flightTime }])
          put(page, { ...record, flights: { ...record.flights, ...Object.fromEntries(renewed) } })
        }
      })
    },

    /** The provider has seen the session key's proof, or doesn't know it any more. */
    setKnown(channelId: Hex, isKnown: boolean): Promise<void> {
      return book.step((page) => {
        const record = get(channelId, page)
        if (record.session) put(page, { ...record, session: { ...record.session, isKnown } })
      })
    },
    setState: (channelId: Hex, state: 'open' | 'retired'): Promise<void> => change(channelId, { state }),
    /** Gives a channel up because its provider refuses it. */
    setRefused: (channelId: Hex, refused: string): Promise<void> =>
      change(channelId, { state: 'retired', refused, refusedAt: now() }),
    /** The node doesn't find it since then, or finds it. */
    setAbsent: (channelId: Hex, absent: ChannelRecord['absent']): Promise<void> =>
      change(channelId, { absent }),
    /**
     * A channel is gone from the chain. How it ended may not be known; then its key is kept, for it may be there after all.
     *
     * @param refused The code that its provider refused it with.
     * @returns The channel as it was; `undefined` when all that was known before.
     */
    setClosed(
      channelId: Hex,
      finalAmount: bigint | undefined,
      refused?: string,
    ): Promise<ChannelRecord | undefined> {
      return book.step((page) => {
        const record = current(page, channelId)
        if (record.state === 'closed' && (record.finalAmount ?? finalAmount) === record.finalAmount) return
        Spent.add(page, now(), { charged: (finalAmount ?? record.tally.charged) - record.tally.charged })
        put(page, {
          ...record,
          ...{ state: 'closed', finalAmount, absent: undefined },
          ...(finalAmount !== undefined && { session: undefined }),
          ...(refused !== undefined && { refused, refusedAt: now() }),
        })
        return record
      })
    },
    /** That its provider took more than it charged is said now. Whether it wasn't before. */
    setTold(channelId: Hex): Promise<boolean> {
      return book.step((page) => {
        const record = current(page, channelId)
        if (!record.isTold) put(page, { ...record, isTold: true })
        return !record.isTold
      })
    },
    /** A channel that was thought to be closed is on the chain. */
    reopen(channelId: Hex, state: 'open' | 'retired'): Promise<void> {
      return book.step((page) => {
        const record = current(page, channelId)
        if (record.state === 'closed' && record.finalAmount === undefined) put(page, { ...record, state })
      })
    },
    isTimely,
  }
}

/** Whether nobody vouches for a request any more. A clock that was far ahead has not vouched for longer than others. */
function isOver({ until }: Flight, now: number): boolean {
  return until < now || until > now + 2 * flightTime
}

/** Whether an opening may be that of a channel. An id is foreseen, and may come out otherwise. */
function leadsTo({ provider, amount, channelId }: OpeningRecord, channel: Channel.Channel): boolean {
  if (channelId === channel.id) return true
  return isAddressEqual(provider, channel.provider) && amount === channel.deposit
}

/** Four fifths are used, and for what was delivered: more will be needed soon. */
function isRunningLow({ tally, flights }: ChannelRecord, quote: bigint): boolean {
  const left = Tally.remaining(tally)
  const room = quote * BigInt(Object.keys(flights).length + 1)
  return (left < room || left * 5n < tally.deposit) && tally.delivered * 2n >= tally.deposit
}

/** How long before its expiry a provider stops serving a channel: an hour or a tenth of its duration. In seconds. */
export function expiryMargin(duration: bigint): bigint {
  const tenth = duration / 10n
  return tenth < 3_600n ? tenth : 3_600n
}
