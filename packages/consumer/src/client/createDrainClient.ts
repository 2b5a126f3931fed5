import { Deployment, DrainError, UntrustedProviderError, Usdc } from '@drain/core'
import type { Account, Address, Chain, Client, Hash, Hex } from 'viem'
import type { ClientStore } from '../store/ClientStore.ts'
import { memoryStore } from '../store/memory.ts'
import { createBook, type View } from './Book.ts'
import { createChannelBook, flightTime } from './ChannelBook.ts'
import { createChannelSigner } from './ChannelSigner.ts'
import type { Closer } from './closing.ts'
import type { Closing } from './endings.ts'
import { hideNodes } from './errorWords.ts'
import { createEvents, type Events } from './events.ts'
import { watchExpiry } from './expiry.ts'
import * as Limits from './Limits.ts'
import { lazily } from './lazily.ts'
import { createSchemePayer, type PaymentScheme } from './PaymentScheme.ts'
import { createPriceList, type PriceList } from './PriceList.ts'
import { createPay } from './pay.ts'
import { createPayingFetch } from './payingFetch.ts'
import { replayable } from './ReplayableRequest.ts'
import type { ChannelRecord } from './records.ts'
import type { RecoverOptions } from './recover.ts'
import * as Spent from './Spent.ts'
import * as Tally from './Tally.ts'
import { createTake } from './take.ts'
import { createWallet } from './Wallet.ts'
import { headersWire, type Wire } from './Wire.ts'

export type DrainClientOptions = {
  /** Who pays: an account with a key. Or pass `walletClient`. */
  account?: Account | undefined
  /** Who pays: a viem wallet client, of a browser's wallet for instance. */
  walletClient?: Client | undefined
  /** 137 (Polygon), 80002 (Amoy) or another; that of `chain`, `deployment` or `walletClient` by default. */
  chainId?: number | undefined
  /** The chain as viem describes it, where more than its id matters. */
  chain?: Chain | undefined
  /** For reads and receipts, and with `account` for everything; `chain`'s or a public one by default. */
  rpcUrl?: string | undefined
  /** Contract and token, of your own; else the chain's known ones, or those at the two addresses below. */
  deployment?: Deployment.Deployment | undefined
  contractAddress?: Address | undefined
  usdcAddress?: Address | undefined
  /** What may be spent. Nothing above it is ever signed. */
  limits: Limits.LimitOptions
  /**
   * Where channels are kept: `sqliteStore` or `fileStore` in Node, `indexedDbStore` in browsers. In memory by default, which
   * forgets them with the process.
   */
  store?: ClientStore | undefined
  /** Opens channels with a signature that the provider sends, where it offers that: the wallet needs no gas. */
  gasless?: boolean | undefined
  /**
   * Other ways for vouchers to cross the wire than the headers, which are asked first. To have them asked later, list
   * `headersWire` where it is to stand.
   */
  wires?: readonly Wire[] | undefined
  /** Other ways to pay than from a channel: per request. */
  schemes?: readonly PaymentScheme[] | undefined
  /**
   * What to take where a 402 offers a channel and one of the `schemes`. `auto`, the default: an open channel with room; else
   * a new one, unless the route's price times 20 (or times the number of requests paid singly there, if that is more) is below
   * `openingCost`, and so is what the channel would save on them.
   */
  prefer?: 'auto' | 'channel' | 'charge' | undefined
  /** What opening and closing a channel costs the wallet in gas, in decimal USDC; `'0.01'` by default. */
  openingCost?: string | undefined
  /** What requests are sent with; the global `fetch` by default. */
  fetch?: typeof globalThis.fetch | undefined
  /** The clock, in Unix milliseconds. */
  now?: (() => number) | undefined
}

/** A channel of a client. Amounts in decimal USDC. */
export type ClientChannel = {
  channelId: Hex
  /** The only origin its vouchers go to. */
  origin: string
  provider: Address
  state: ChannelRecord['state']
  deposit: string
  /** The highest total signed: the most that the provider can take. */
  signed: string
  /** What the provider reported as charged, as far as it is believed. */
  charged: string
  /** What new requests may still use. */
  remaining: string
  /** Unix seconds. */
  expiry: bigint
}

/** An opening that was begun. */
export type ClientOpening = {
  origin: string
  provider: Address
  /** Decimal USDC. */
  deposit: string
}

/** How a channel ended. Amounts in decimal USDC. */
export type ClosedChannel = {
  channelId: Hex
  /** What the provider got in all. */
  finalAmount: string
  /** What came back. */
  refund: string
  txHash: Hash
}

/** A channel that a caller opens by itself. */
export type OpenOptions = {
  /** Where it is to be used: an origin, or any URL of it. */
  origin: string
  /** Deposit in decimal USDC; sized by the provider's terms and the limits by default. */
  amount?: string | undefined
  /** Such as `'24h'`; as the provider recommends by default. */
  duration?: string | number | undefined
  /** Opened with a signature that the provider sends, where it offers that. */
  gasless?: boolean | undefined
}

/** Totals over all channels of the store. Amounts in decimal USDC. */
export type Spending = {
  /**
   * Charged, as providers report it and as far as they are believed; of closed channels, what they took. With `since`: in that
   * time.
   */
  charged: string
  /** The most that providers can take of what was signed so far; of closed channels, what they took. */
  signed: string
  /** Newly promised today (UTC), which `limits.perDay` bounds. */
  today: string
  /** Deposits of channels that are not closed. */
  locked: string
}

export type DrainClient = {
  /**
   * A drop-in `fetch` that pays what asks to be paid, within the limits. Answers that ask for nothing pass as they are.
   *
   * @throws {LimitExceededError} It costs more than the limits allow. Nothing was signed.
   * @throws {UntrustedProviderError} A 402 for another contract, chain or provider; a redirect of a paid request; a channel that
   * the provider is found to have closed for more than it charged, once.
   * @throws {PaymentRejectedError} The provider refuses the payment, and another one would not help.
   * @throws {ChannelGoneError} Its channel is of no use any more, and opening another by itself isn't safe.
   * @throws {PaymentUnknownError} The connection was lost after the payment, twice. Safe to send again with its key.
   * @throws {DrainError} `insufficient_gas`, `insufficient_balance`: a channel is to be opened, and the wallet can't.
   */
  fetch: typeof globalThis.fetch
  /**
   * Pays for a request that got this 402 by other means, through a wire, and sends it with `fetch`. For other payment clients
   * that pay from these channels; the 402 itself comes back where the wire finds no offer in it.
   *
   * @throws As `fetch` does.
   */
  pay(
    response: Response,
    input: RequestInfo | URL,
    init: RequestInit | undefined,
    by: { wire: Wire; fetch: typeof globalThis.fetch },
  ): Promise<Response>
  /** Opens a channel in advance, or with terms of the caller's own, within the limits. */
  openChannel(options: OpenOptions): Promise<ClientChannel>
  channels(): Promise<ClientChannel[]>
  /** Openings that were begun and not heard of again: what they may lock. The next one there, and `recover`, find out. */
  openings(): Promise<ClientOpening[]>
  /**
   * Closes a channel, by id or by its origin: asks the provider, or alone after expiry. Never agrees to more than was
   * charged.
   *
   * @throws {UntrustedProviderError} The provider asks for more.
   * @throws {DrainError} `close_failed`: the provider doesn't answer; `channel_unknown`.
   */
  close(channelOrOrigin: string): Promise<ClosedChannel>
  /**
   * Closes all channels that are not closed, one after the other.
   *
   * @throws The failure of one, or `close_failed` with an `AggregateError` as its cause, after all were tried.
   */
  closeAll(): Promise<ClosedChannel[]>
  /**
   * Finds what this wallet has locked and the store doesn't know, and what became of openings that were interrupted; closes
   * channels that have expired. Answers with all channels that still lock something.
   *
   * @throws {UntrustedProviderError} After all that: a provider took more than it charged. Once, as what is closed isn't looked at
   * again.
   */
  recover(options?: RecoverOptions): Promise<ClientChannel[]>
  /** @param options.since From the beginning of that hour on (UTC). */
  spending(options?: { since?: Date | undefined }): Promise<Spending>
  /** Hears of what happens; the function that it returns ends that. */
  on: Events['on']
  /** Waits for what is being written, and lets the store go. Closes no channel. */
  stop(): Promise<void>
}

/**
 * Makes a client that pays by itself: on a 402 it opens a channel to the provider or uses the one it has, signs a
 * voucher for what the request may cost, and sends the request with it. Safe for parallel calls.
 *
 * @example
 * ```ts
 * const client = createDrainClient({
 *   account: privateKeyToAccount(key),
 *   chainId: 137,
 *   limits: { perRequest: '0.05', perChannel: '5', perDay: '10' },
 * })
 * const response = await client.fetch('https://provider.example/v1/chat/completions', { method: 'POST', body })
 * await client.closeAll()
 * ```
 * @throws {DrainError} `limits_missing`, `account_missing`, `chain_missing`, `rpc_missing`
 * @throws {UnknownDeploymentError}
 */
export function createDrainClient(options: DrainClientOptions): DrainClient {
  const limits = Limits.parse(options.limits)
  const deployment = findDeployment(options)
  const { account, walletClient, chain, rpcUrl, store = memoryStore(), now = Date.now } = options
  const { gasless = false, prefer = 'auto', openingCost = '0.01' } = options
  const wires = orderWires(options.wires ?? [])
  const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const wallet = createWallet({ account, walletClient, chain, rpcUrl, deployment })
  const consumer = wallet.account.address
  const client = crypto.randomUUID()
  const events = createEvents()
  const prefix = `${deployment.chainId}/${deployment.contract}/${consumer}/`.toLowerCase()
  const records = createBook(store, prefix)
  const book = createChannelBook({ book: records, deployment, consumer, limits, client, now })
  const signer = createChannelSigner({ wallet, store })
  const expiry = watchExpiry({ book, events, now })
  // Most visits open and close nothing: what that takes is loaded when it is needed.
  const loadEndings = lazily(async () => {
    const { createEndings } = await import('./endings.ts')
    return createEndings({
      ...{ wallet, book, now },
      onClosed: ({ origin }, closing) => events.emit('closed', { origin, ...describeClosing(closing) }),
    })
  })
  const loadCloser = lazily(async () => {
    const { createCloser } = await import('./closing.ts')
    return createCloser({ fetch, wallet, signer, book, endings: await loadEndings(), now })
  })
  const closer: Closer = async (channelId) => (await loadCloser())(channelId)
  const loadGoneChannels = lazily(async () => {
    const { createGoneChannels } = await import('./goneChannels.ts')
    return createGoneChannels({ wallet, book, closer, endings: await loadEndings(), now })
  })
  const loadOpener = lazily(async () => {
    const { createChannelOpener } = await import('./ChannelOpener.ts')
    const { createLeases } = await import('./leases.ts')
    const goneChannels = await loadGoneChannels()
    const leases = createLeases(records, client, now)
    return createChannelOpener({
      ...{ fetch, wallet, signer, book: records, channels: book, goneChannels, leases, limits, gasless, now },
      onOpened(record) {
        const { channelId, origin, expiry: at, tally } = record
        events.emit('opened', { channelId, origin, deposit: Usdc.format(tally.deposit), expiry: at })
        expiry.look()
      },
    })
  })
  const take = createTake(book, loadOpener)
  const pay = createPay({ fetch, signer, book, take, loadGoneChannels, limits, events })
  const schemes = createSchemePayer({
    ...{ schemes: options.schemes ?? [], fetch, book: records, limits, events, now },
  })
  const loadRecovery = lazily(async () => {
    const { createRecovery } = await import('./recover.ts')
    const [opener, endings] = [await loadOpener(), await loadEndings()]
    return createRecovery({ fetch, wallet, signer, book: records, channels: book, opener, endings, now })
  })
  const priceLists = new Map<string, PriceList>()
  // Requests that run for long are vouched for again and again.
  const renewing = setInterval(() => book.renew().catch(() => {}), flightTime / 3)
  if (typeof renewing === 'object') renewing.unref()

  function pricesOf(origin: string): PriceList {
    const known = priceLists.get(origin)
    if (known) return known
    const list = createPriceList(origin, fetch, now)
    priceLists.set(origin, list)
    return list
  }

  const paying = createPayingFetch({
    ...{ fetch, wallet, book, limits, pay, schemes, wires, events, pricesOf },
    preference: { prefer, openingCost: Usdc.parse(openingCost) },
  })
  let ready: Promise<void> | undefined
  /** Reads the store, once, and looks at what it has. */
  function load(): Promise<void> {
    ready ??= reload().catch((error) => {
      ready = undefined
      throw error
    })
    return ready
  }

  async function reload(): Promise<void> {
    await book.refresh()
    expiry.look()
  }

  async function close(channelOrOrigin: string): Promise<ClosedChannel> {
    await reload()
    return describeClosing(await hidingNodes(closer(findChannel(book.list(), channelOrOrigin))))
  }

  return {
    async fetch(input, init) {
      await load()
      return hidingNodes(paying.fetch(input, init))
    },
    async pay(response, input, init, { wire, fetch }) {
      const request = await replayable(input, init)
      await load()
      return hidingNodes(paying.payFor(request, response, { wires: [wire], fetch }))
    },
    async openChannel(wanted) {
      await reload()
      const { openByHand } = await import('./openByHand.ts')
      const opener = await loadOpener()
      return describe(await hidingNodes(openByHand({ deployment, book, limits, pricesOf, opener }, wanted)))
    },
    async channels() {
      await reload()
      return book.list().map(describe)
    },
    async openings() {
      await reload()
      const list = records.view.list('opening')
      return [...list].map(({ origin, provider, amount }) => ({
        origin,
        provider,
        deposit: Usdc.format(amount),
      }))
    },
    close,
    async closeAll() {
      await reload()
      const closed: ClosedChannel[] = []
      const failures: unknown[] = []
      const open = book.list().filter(isNotClosed)
      for (const { channelId } of open) {
        await close(channelId).then(
          (channel) => closed.push(channel),
          (error) => failures.push(error),
        )
      }
      if (failures.length === 1) throw failures[0]
      if (failures.length > 1) {
        throw new DrainError(
          'close_failed',
          `${failures.length} of ${open.length} channels were not closed.`,
          {
            action: 'See the errors of the cause, and client.channels().',
            cause: new AggregateError(failures),
          },
        )
      }
      return closed
    },
    async recover(given = {}) {
      const recover = await loadRecovery()
      let overcharged: UntrustedProviderError | undefined
      // One that can't be closed yet stays in the answer.
      const overlook = (error: unknown) => {
        if (error instanceof UntrustedProviderError) overcharged ??= error
      }
      await hidingNodes(recover(given)).catch((error) => {
        overlook(error)
        if (!overcharged) throw error
      })
      for (const { channelId, expiry: at } of book.list().filter(isNotClosed)) {
        if (BigInt(Math.floor(now() / 1_000)) >= at) await closer(channelId).catch(overlook)
      }
      expiry.look()
      if (overcharged) throw overcharged
      return book.list().filter(isNotClosed).map(describe)
    },
    async spending({ since } = {}) {
      await book.refresh()
      const sum = (amount: (record: ChannelRecord) => bigint, rest = 0n) =>
        Usdc.format(book.list().reduce((total, record) => total + amount(record), rest))
      const spent = Spent.since(records.view, since ? since.getTime() : 0)
      return {
        charged: Usdc.format(spent.charged),
        signed: sum(({ finalAmount, tally }) => finalAmount ?? tally.signed, takenSingly(records.view)),
        today: Usdc.format(Spent.today(records.view, now())),
        locked: sum((record) => (isNotClosed(record) ? record.tally.deposit : 0n)),
      }
    },
    on: events.on,
    async stop() {
      clearInterval(renewing)
      expiry.stop()
      // What the store failed to take before goes with this step.
      await book.refresh().catch(() => {})
      await store.close()
    },
  }
}

/** Errors of a node as callers may log them. */
function hidingNodes<result>(task: Promise<result>): Promise<result> {
  return task.catch((error) => {
    throw hideNodes(error)
  })
}

function orderWires(given: readonly Wire[]): readonly Wire[] {
  return given.includes(headersWire) ? given : [headersWire, ...given]
}

function findDeployment(options: DrainClientOptions): Deployment.Deployment {
  const { deployment, chain, walletClient, contractAddress, usdcAddress } = options
  if (deployment) return deployment
  const chainId = options.chainId ?? chain?.id ?? walletClient?.chain?.id
  if (chainId === undefined) {
    throw new DrainError('chain_missing', 'No chain to pay on.', {
      action: 'Pass chainId, or a deployment.',
    })
  }
  return Deployment.find({ chainId, contract: contractAddress, token: usdcAddress })
}

/** The channel of this id, or the one that is not closed of this origin. */
function findChannel(records: ChannelRecord[], channelOrOrigin: string): Hex {
  if (channelOrOrigin.startsWith('0x')) return channelOrOrigin.toLowerCase() as Hex
  const origin = URL.canParse(channelOrOrigin) ? new URL(channelOrOrigin).origin : channelOrOrigin
  const [only, ...others] = records.filter((record) => record.origin === origin && isNotClosed(record))
  if (only && others.length === 0) return only.channelId
  throw new DrainError(
    'channel_unknown',
    only
      ? `${origin} has ${others.length + 1} channels that are not closed.`
      : `There is no open channel for ${origin}.`,
    { action: only ? 'Close them by id, or all with closeAll.' : 'See client.channels().' },
  )
}

/** The most that providers can take, or have taken, in payments of their own. */
function takenSingly(view: View): bigint {
  let sum = 0n
  for (const { taken } of view.list('payee')) sum += taken
  return sum
}

function isNotClosed({ state }: ChannelRecord): boolean {
  return state !== 'closed'
}

function describe(record: ChannelRecord): ClientChannel {
  const { channelId, origin, provider, state, expiry, tally } = record
  return {
    channelId,
    origin,
    provider,
    state,
    deposit: Usdc.format(tally.deposit),
    signed: Usdc.format(tally.signed),
    charged: Usdc.format(tally.charged),
    remaining: Usdc.format(state === 'open' ? Tally.remaining(tally) : 0n),
    expiry,
  }
}

function describeClosing({ channelId, finalAmount, refund, txHash }: Closing): ClosedChannel {
  return { channelId, finalAmount: Usdc.format(finalAmount), refund: Usdc.format(refund), txHash }
}
