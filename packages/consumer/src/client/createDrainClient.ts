import { Deployment, DrainError, Usdc } from '@drain/core'
import type { Account, Address, Chain, Client, Hash, Hex } from 'viem'
import { createChannelBook } from './ChannelBook.ts'
import { createChannelOpener } from './ChannelOpener.ts'
import { type ChannelRecord, type ChannelStore, memoryStore } from './ChannelStore.ts'
import { type Closing, createCloser } from './closing.ts'
import { createGoneChannels } from './goneChannels.ts'
import * as Limits from './Limits.ts'
import { createPay } from './pay.ts'
import { createPayingFetch } from './payingFetch.ts'
import * as Tally from './Tally.ts'
import { createWallet } from './Wallet.ts'

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
  /** Where channels are kept; in memory by default, which forgets them with the process. */
  store?: ChannelStore | undefined
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

/** How a channel ended. Amounts in decimal USDC. */
export type ClosedChannel = {
  channelId: Hex
  /** What the provider got in all. */
  finalAmount: string
  /** What came back. */
  refund: string
  txHash: Hash
}

/** Totals over all channels of the store. Amounts in decimal USDC. */
export type Spending = {
  /** Charged, as providers report it and as far as they are believed; of closed channels, what they took. */
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
   * @throws {UntrustedProviderError} A 402 for another contract, chain or provider; a redirect of a paid request.
   * @throws {PaymentRejectedError} The provider refuses the payment, and another one would not help.
   * @throws {DrainError} `insufficient_gas`, `insufficient_balance`: a channel is to be opened, and the wallet can't.
   */
  fetch: typeof globalThis.fetch
  channels(): Promise<ClientChannel[]>
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
  spending(): Promise<Spending>
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
  const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const wallet = createWallet({ account, walletClient, chain, rpcUrl, deployment })
  const book = createChannelBook({ store, deployment, consumer: wallet.account.address, limits, now })
  const closer = createCloser({ fetch, wallet, book, now })
  const goneChannels = createGoneChannels({ wallet, book, closer, now })
  const opener = createChannelOpener({ wallet, book, goneChannels, limits })
  const pay = createPay({ fetch, wallet, book, opener, goneChannels, limits })

  async function close(channelOrOrigin: string): Promise<ClosedChannel> {
    await book.load()
    return describeClosing(await closer(findChannel(book.list(), channelOrOrigin)))
  }

  return {
    fetch: createPayingFetch({ fetch, wallet, book, limits, pay, now }),
    async channels() {
      await book.load()
      return book.list().map(describe)
    },
    close,
    async closeAll() {
      await book.load()
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
    async spending() {
      await book.load()
      const sum = (amount: (record: ChannelRecord) => bigint) =>
        Usdc.format(book.list().reduce((total, record) => total + amount(record), 0n))
      return {
        charged: sum(({ finalAmount, tally }) => finalAmount ?? tally.charged),
        signed: sum(({ finalAmount, tally }) => finalAmount ?? tally.signed),
        today: Usdc.format(book.promisedToday()),
        locked: sum((record) => (isNotClosed(record) ? record.tally.deposit : 0n)),
      }
    },
  }
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
