import { type Channel, Deployment, DrainError, GaslessOpen, SessionKey, Usdc } from '@drain/core'
import type { Address } from 'viem'
import { getGaslessOpen } from '../actions/getGaslessOpen.ts'
import { getUsdcBalance } from '../actions/getUsdcBalance.ts'
import { assertBalance, assertOpening } from '../actions/openChannel.ts'
import { requestGaslessOpen } from '../actions/requestGaslessOpen.ts'
import { signGaslessOpen } from '../actions/signGaslessOpen.ts'
import { TransactionPendingError } from '../actions/transact.ts'
import type { Book, Page } from './Book.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import * as Commitments from './Commitments.ts'
import { approve, expectDirect, isRefused, openApproved } from './directOpening.ts'
import { findOpened } from './findOpened.ts'
import type { GoneChannels } from './goneChannels.ts'
import * as Limits from './Limits.ts'
import type { Leases, Turn } from './leases.ts'
import * as Origin from './Origin.ts'
import { openingTerms } from './openingTerms.ts'
import type { Terms } from './PriceList.ts'
import type { ChannelRecord, OpeningRecord } from './records.ts'
import * as Spent from './Spent.ts'
import type { Wallet } from './Wallet.ts'

/** Who is to be paid how much, and on what terms. */
export type Need = {
  origin: string
  provider: Address
  quote: bigint
  terms: () => Terms
  /** Whether the provider sends openings for consumers without gas. */
  canRelay: boolean
}

/** What a caller asks of an opening; the rest is decided by the client. */
export type Wish = {
  /** Base units. */
  amount?: bigint | undefined
  /** Seconds. */
  duration?: bigint | undefined
  gasless?: boolean | undefined
  byHand?: true | undefined
}

/** See {@link createChannelOpener}. */
export type ChannelOpener = ReturnType<typeof createChannelOpener>

/** What an opening begins with, in its turn. */
type Started = {
  origin: string
  provider: Address
  amount: bigint
  duration: bigint
  key: { address: Address; sealed: string } | undefined
  turn: Turn
}

/** How long after its last moment an authorization is taken to be void, in seconds. */
const afterExpiry = 60n

/** How long a channel counts as new, in milliseconds. */
const newFor = 3_600_000

/** How long to wait before an opening in advance is tried again, in milliseconds. */
const restAfterFailure = 60_000

/**
 * Opens the channels that requests are paid from: one opening at a time per origin, however many requests,
 * processes or tabs wait for it. What was begun is written down before it is signed, and resolved before anything else is
 * opened there.
 */
export function createChannelOpener(options: {
  fetch: typeof globalThis.fetch
  wallet: Wallet
  signer: ChannelSigner
  book: Book
  channels: ChannelBook
  goneChannels: Pick<GoneChannels, 'closeRefused' | 'closeExpired' | 'assertFewRefused'>
  leases: Leases
  limits: Limits.Limits
  gasless: boolean
  onOpened: (record: ChannelRecord) => void
  /** Unix milliseconds. */
  now: () => number
}) {
  const { fetch, wallet, signer, book, channels, goneChannels, leases, limits, onOpened, now } = options
  const { deployment, account, client, publicClient } = wallet
  const consumer = account.address
  const openings = new Map<string, Promise<ChannelRecord>>()
  const restUntil = new Map<string, number>()

  /** Joins an opening that runs. */
  function openOnce(need: Need, wish: Wish, enough: number): Promise<ChannelRecord> {
    let opening = openings.get(need.origin)
    if (!opening) {
      opening = open(need, wish, enough).finally(() => openings.delete(need.origin))
      openings.set(need.origin, opening)
    }
    return opening
  }

  /**
   * One at a time for each origin. Origins don't wait for each other, but for the wallet's transactions: what one has locked
   * meanwhile counts for the limits of all, since an opening is written down before it is sent.
   *
   * @param enough How many channels with room make another one needless.
   */
  async function open(need: Need, wish: Wish, enough: number): Promise<ChannelRecord> {
    const { origin, provider, quote } = need
    return leases.exclusively(`opening ${origin}`, async (turn) => {
      // Another process may have opened one while this one waited for its turn; or a request that was told of another provider.
      Origin.assertProvider(origin, channels.providerOf(origin), provider)
      const usable = channels.usable(origin, quote)
      if (usable[0] && usable.length >= enough) return usable[0]
      const earlier = book.view.get('opening', origin)
      if (earlier) {
        const resolved = await resolve(earlier, need)
        if (resolved) return resolved
      }
      assertClock(origin, quote)
      Limits.assertDay(limits, Spent.today(book.view, now()), quote)
      await goneChannels.closeRefused(origin)
      if (enough !== Number.POSITIVE_INFINITY) goneChannels.assertFewRefused(origin)
      // Deposits that can be taken back leave room for the next one.
      if (Commitments.to(provider, book.view) + limits.perChannel > limits.perProvider) {
        await goneChannels.closeExpired(provider)
      }
      if (Commitments.locked(book.view) + limits.perChannel > limits.locked) await goneChannels.closeExpired()
      return begin(need, wish, turn)
    })
  }

  async function begin(need: Need, wish: Wish, turn: Turn): Promise<ChannelRecord> {
    const { origin, provider, quote, terms } = need
    const isGasless =
      (wish.gasless ?? options.gasless) &&
      need.canRelay &&
      Deployment.has(deployment, 'openWithAuthorization')
    const { deposit: amount, duration } = openingTerms({
      ...{ quote, limits, wish, terms: terms(), committed: Commitments.to(provider, book.view) },
      relayed: isGasless,
    })
    // Wallets that ask before each signature would ask for each voucher: a key of the channel signs them.
    const hasSession = (isGasless || account.type === 'json-rpc') && SessionKey.isSupported(deployment)
    const key = hasSession ? await signer.createKey() : undefined
    assertOpening(deployment, consumer, { provider, amount, duration, signer: key?.address })
    assertBalance(await getUsdcBalance(publicClient, { deployment, account }), amount, consumer)
    const byHand = wish.byHand === true
    const deposit = {
      kind: 'deposit',
      origin,
      provider,
      amount: Usdc.format(amount),
      duration,
      byHand,
    } as const
    await Limits.assertConfirmed(limits, deposit)
    const opening: Started = { origin, provider, amount, duration, key, turn }
    return isGasless ? openGasless(opening) : openDirectly(opening)
  }

  /**
   * Writes an opening down before anything of it leaves this process. Others may have opened while this client waited for its
   * user or slept: the limits are judged anew, in the same step.
   *
   * @throws {LimitExceededError | DrainError} `opening_overtaken`
   */
  function writeFirst(opening: OpeningRecord, turn: Turn): Promise<void> {
    return book.step((page) => {
      const { origin, provider, amount } = opening
      if (!turn.isMine(page) || page.get('opening', origin)) throw overtaken(origin)
      Commitments.assertProvider(limits, Commitments.to(provider, page), amount)
      Commitments.assertLocked(limits, Commitments.locked(page), amount)
      page.put('opening', origin, opening)
    })
  }

  // --- with a transaction of the wallet's own

  /** One at a time in the wallet: openings share one allowance, and each takes exactly what was approved for it. */
  function openDirectly(started: Started): Promise<ChannelRecord> {
    const { origin, provider, amount, duration, key, turn } = started
    return leases.exclusively('wallet', async () => {
      const { channelId, proof } = await expectDirect(wallet, { ...started, signer: key?.address })
      const session = key && proof && { ...key, proof }
      await approve(wallet, amount)
      const begun: OpeningRecord = {
        ...{ origin, provider, amount, duration, begunAt: now() },
        ...(channelId && { channelId }),
        ...(session && { session }),
      }
      await writeFirst(begun, turn)
      let mayBeSent = false
      try {
        const opened = await openApproved(wallet, {
          ...{ provider, amount, duration, signer: key?.address },
          // It may have slept since, and another client may have given this opening up.
          onSending: async () => {
            await book.step((page) => {
              if (!turn.isMine(page) || !isWritten(begun, page)) throw overtaken(origin)
            })
            mayBeSent = true
          },
          onSent: (hash) => write({ ...begun, hash }),
        })
        const { channel, proof: shown } = opened
        return await add(origin, channel, duration, key && shown && { ...key, proof: shown })
      } catch (error) {
        // What may have been sent stays written down: the next call finds out what became of it.
        if (!mayBeSent || isRefused(error)) await forget(begun)
        throw error
      }
    })
  }

  // --- with an authorization that the provider sends

  async function openGasless({
    origin,
    provider,
    amount,
    duration,
    key,
    turn,
  }: Started): Promise<ChannelRecord> {
    const signed = await signGaslessOpen(client, {
      ...wallet.parameters,
      ...{ provider, amount, duration, signer: key?.address },
    })
    const { open, channelId, proof } = signed
    const begun: OpeningRecord = {
      ...{ origin, provider, amount, duration, begunAt: now(), channelId },
      ...(key && proof && { session: { ...key, proof } }),
      authorization: GaslessOpen.toJson(open),
      validBefore: open.validBefore,
    }
    // Before it leaves this process: whoever has it can lock the deposit.
    await writeFirst(begun, turn)
    return relay(begun, open)
  }

  async function relay(opening: OpeningRecord, open: GaslessOpen.GaslessOpen): Promise<ChannelRecord> {
    const { origin, duration, session } = opening
    const outcome = await requestGaslessOpen(publicClient, { deployment, origin, open, fetch })
    if (outcome.status === 'opened') return add(origin, outcome.channel, duration, session)
    const until = new Date(Number(open.validBefore) * 1_000).toISOString()
    const words = outcome.message ? ` It says: ${outcome.message}` : ''
    throw new DrainError(
      'opening_unresolved',
      `${origin} has not opened the channel (${outcome.code}).${words}`,
      {
        action: `Try again: the same authorization is used until ${until}, and nothing else is signed before. client.recover() shows where it stands.`,
      },
    )
  }

  // --- what was begun before

  /**
   * The channel of an opening that was begun, by this process or another; `undefined` when there is none and never will be.
   *
   * @throws {TransactionPendingError | DrainError} `opening_unresolved`: another one now could lock two deposits.
   */
  async function resolve(opening: OpeningRecord, need?: Need): Promise<ChannelRecord | undefined> {
    const { origin, duration, session } = opening
    if (opening.authorization) {
      const open = GaslessOpen.fromJson(opening.authorization)
      const found = await getGaslessOpen(publicClient, { deployment, open })
      if (found.status === 'opened') return add(origin, found.channel, duration, session)
      // A node that says another time or state than it is must not have a second one signed while the first is good.
      const isOver = found.status !== 'valid' && now() >= Number(open.validBefore + afterExpiry) * 1_000
      if (!isOver && need) return relay(opening, open)
      if (!isOver) throw unresolved(opening, Number(open.validBefore + afterExpiry) * 1_000)
    } else {
      const found = await findOpened(wallet, opening, now())
      if (found === 'pending') throw unresolved(opening, opening.begunAt + patience)
      const { channel, proof = session?.proof } = found ?? {}
      if (channel) return add(origin, channel, duration, session && proof && { ...session, proof })
    }
    await forget(opening)
    return undefined
  }

  const write = (opening: OpeningRecord) => book.step((page) => page.put('opening', opening.origin, opening))
  const forget = (opening: OpeningRecord) =>
    book.step((page) => {
      if (isWritten(opening, page)) page.remove('opening', opening.origin)
    })

  async function add(
    origin: string,
    channel: Channel.Channel,
    duration: bigint,
    session: OpeningRecord['session'],
  ): Promise<ChannelRecord> {
    const record = await channels.add(channel, {
      ...{ origin, duration },
      session: session && { ...session, isKnown: false },
    })
    onOpened(record)
    return record
  }

  /** A channel that is new and can't be used says that something is wrong which another channel would not mend. */
  function assertClock(origin: string, quote: bigint): void {
    const unused = channels.list().find((record) => {
      const { state, tally, knownAt = 0 } = record
      const isUsable = record.origin === origin && state === 'open' && tally.deposit >= quote
      const age = now() - knownAt
      return isUsable && tally.signed === 0n && age >= 0 && age <= newFor && !channels.isTimely(record)
    })
    if (!unused) return
    const expiry = new Date(Number(unused.expiry) * 1_000).toISOString()
    throw new DrainError(
      'clock_differs',
      `Channel ${unused.channelId} expires ${expiry}, too soon to be used.`,
      {
        action: 'Set this machine’s clock right. Close the channel (client.close) if it is old.',
      },
    )
  }

  return {
    /** Opens a channel because a request found none with room. */
    openFor: (need: Need): Promise<ChannelRecord> => openOnce(need, {}, 1),
    /** Opens the next channel before this one runs dry. Not where a wallet would ask somebody who expects nothing. */
    async prepare(need: Need): Promise<void> {
      const { origin, provider } = need
      // A smaller one for the sake of the limit would be of little use: better wait for what is in use to be used up.
      if (Commitments.to(provider, book.view) + limits.perChannel > limits.perProvider) return
      if (account.type === 'json-rpc' || openings.has(origin) || (restUntil.get(origin) ?? 0) > now()) return
      await openOnce(need, {}, 2).catch((error) => {
        restUntil.set(origin, now() + restAfterFailure)
        throw error
      })
    },
    /** Opens a channel because the caller wants it. */
    async open(need: Need, wish: Wish): Promise<ChannelRecord> {
      // One that runs for somebody else has other terms.
      while (openings.has(need.origin)) await openings.get(need.origin)?.catch(() => {})
      return openOnce(need, wish, Number.POSITIVE_INFINITY)
    },
    resolve: (opening: OpeningRecord): Promise<ChannelRecord | undefined> =>
      leases.exclusively(`opening ${opening.origin}`, () => resolve(opening)),
  }
}

/** How long an opening may take whose transaction isn't known, in milliseconds. */
export const patience = 600_000

/** Whether an opening is the one that its origin has; not another client's, that came after it. */
function isWritten({ origin, begunAt, channelId }: OpeningRecord, page: Page): boolean {
  const written = page.get('opening', origin)
  return written?.begunAt === begunAt && written.channelId === channelId
}

function overtaken(origin: string): DrainError {
  return new DrainError('opening_overtaken', `Another client of this wallet opens a channel at ${origin}.`, {
    action: 'Nothing was sent. Try again: its channel can be used.',
  })
}

function unresolved({ origin, hash }: OpeningRecord, until: number): DrainError {
  if (hash) return new TransactionPendingError(hash)
  return new DrainError(
    'opening_unresolved',
    `An opening at ${origin} was begun, and it is not known yet what became of it.`,
    { action: `It is given up ${new Date(until).toISOString()}; until then no other deposit goes there.` },
  )
}
