import {
  type Channel,
  ChannelNotFoundError,
  Domain,
  drainChannelAbi,
  SessionKey,
  UntrustedProviderError,
  Voucher,
  Headers as Wire,
} from '@drain/core'
import { type Address, type Hex, isAddress, isAddressEqual } from 'viem'
import { getBlockNumber, getContractEvents } from 'viem/actions'
import { getChannel } from '../actions/getChannel.ts'
import type { Book } from './Book.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelOpener } from './ChannelOpener.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import { type Endings, usualBlocks, windowBlocks } from './endings.ts'
import * as Origin from './Origin.ts'
import { readJson } from './readJson.ts'
import type { ChannelRecord } from './records.ts'
import * as Tally from './Tally.ts'
import type { Wallet } from './Wallet.ts'

export type RecoverOptions = {
  /**
   * Origins whose providers this wallet has paid. Channels to their addresses are bound to them again, and pay. Channels to
   * nobody listed can only be closed, after their expiry; so can those of several that name one address, unless one alone
   * shows the highest voucher.
   */
  origins?: readonly string[] | undefined
  /** The first block to look for openings in; about the last two days of Polygon by default. */
  fromBlock?: bigint | undefined
}

/** How long a provider may take, in milliseconds. */
const patience = 10_000
/** How long a signed request holds, in seconds. */
const requestAge = 120n

/**
 * Finds what this wallet has locked and the store doesn't know: on the chain, and at the providers that the caller names. A
 * provider's word counts only as far as the wallet's own signature goes.
 */
export function createRecovery(options: {
  fetch: typeof globalThis.fetch
  wallet: Wallet
  signer: ChannelSigner
  book: Book
  channels: ChannelBook
  opener: Pick<ChannelOpener, 'resolve'>
  endings: Endings
  /** Unix milliseconds. */
  now: () => number
}) {
  const { fetch, wallet, signer, book, channels, opener, endings, now } = options
  const { deployment, publicClient, account } = wallet

  /** Openings of this wallet, from a block on, oldest first. */
  async function findOpenings(fromBlock: bigint | undefined): Promise<Hex[]> {
    const head = await getBlockNumber(publicClient)
    const first = fromBlock ?? (head > usualBlocks ? head - usualBlocks : 0n)
    const found: Hex[] = []
    for (let from = first; from <= head; from += windowBlocks) {
      const last = from + windowBlocks - 1n
      const events = await getContractEvents(publicClient, {
        address: deployment.contract,
        abi: drainChannelAbi,
        eventName: 'ChannelOpened',
        args: { consumer: account.address },
        fromBlock: from,
        toBlock: last < head ? last : head,
      })
      for (const { args } of events) if (args.channelId) found.push(args.channelId)
    }
    return found
  }

  async function onChain(channelId: Hex): Promise<Channel.Channel | undefined> {
    try {
      return await getChannel(publicClient, { deployment, channelId })
    } catch (error) {
      if (error instanceof ChannelNotFoundError) return undefined
      throw error
    }
  }

  /** Which provider an origin says it is. The caller vouches for the origin. */
  async function providerAt(origin: string): Promise<Address | undefined> {
    try {
      const response = await fetch(`${origin}/v1/pricing`, {
        redirect: 'manual',
        signal: AbortSignal.timeout(patience),
      })
      const { provider } = await readJson(response)
      return isAddress(String(provider), { strict: false }) ? (provider as Address) : undefined
    } catch {
      return undefined
    }
  }

  /** What the provider says of a channel, no more of it than this wallet has signed. */
  async function askState(record: ChannelRecord): Promise<Tally.Tally | undefined> {
    const { channelId, origin } = record
    const deadline = BigInt(Math.floor(now() / 1_000)) + requestAge
    const { signature } = await signer.signRequest(record, 'state', deadline)
    try {
      const response = await fetch(`${origin}/v1/channels/${channelId}`, {
        redirect: 'manual',
        signal: AbortSignal.timeout(patience),
        headers: { [Wire.request]: JSON.stringify({ deadline: deadline.toString(), signature }) },
      })
      return readState(record, await readJson(response))
    } catch {
      return undefined
    }
  }

  function readState(record: ChannelRecord, { voucher, charged }: Record<string, unknown>): Tally.Tally {
    const signed = ownVoucher(record, voucher)?.amount ?? 0n
    const said = typeof charged === 'string' && /^[0-9]{1,20}$/.test(charged) ? BigInt(charged) : 0n
    const believed = said < signed ? said : signed
    // What was delivered nobody remembers; so all that was rightly signed may have been.
    return { ...record.tally, signed, charged: believed, delivered: believed }
  }

  /** The voucher that a provider shows, if this channel's own key has signed it. */
  function ownVoucher(record: ChannelRecord, shown: unknown): Voucher.Unsigned | undefined {
    if (typeof shown !== 'object' || shown === null) return undefined
    const { amount, nonce, signature } = shown as Record<string, unknown>
    const voucher = Voucher.fromHeader(
      JSON.stringify({ channelId: record.channelId, amount, nonce, signature }),
    )
    const digest = Voucher.digest(voucher, Domain.separator(deployment))
    const by = SessionKey.recover(digest, voucher.signature)
    const channel = { id: record.channelId, ...record, deposit: record.tally.deposit }
    return by && SessionKey.accept(by, channel, deployment) ? voucher : undefined
  }

  /** What the origins say of a channel that may be theirs. An origin has one provider. */
  async function ask(channel: Channel.Channel, claims: readonly Claim[], duration: bigint): Promise<Word[]> {
    const words: Word[] = []
    for (const { origin, provider } of claims) {
      if (!isAddressEqual(channels.providerOf(origin) ?? provider, provider)) continue
      const tally = await askState(recordOf(channel, origin, duration))
      if (tally) words.push({ origin, tally })
    }
    return words
  }

  /** Binds a channel to the origin that its vouchers went to, as far as that is certain, and to none else. */
  async function adopt(channel: Channel.Channel, { claims, isComplete }: Claims): Promise<void> {
    const seconds = BigInt(Math.floor(now() / 1_000))
    // The chain doesn't keep the duration: what is left of it is as good.
    const duration = channel.expiry > seconds ? channel.expiry - seconds : 1n
    const namesakes = claims.filter(({ provider }) => isAddressEqual(provider, channel.provider))
    const words = await ask(channel, namesakes, duration)
    const word = mostSigned(words, isComplete && namesakes.length === 1)
    const unknown = { ...Tally.start(channel.deposit), signed: channel.deposit, delivered: channel.deposit }
    await channels.adopt(channel, {
      ...(word ?? { origin: '', tally: unknown }),
      duration,
      // Without its provider's word nothing more is signed there, and what it claims can't be judged.
      state: word && hasKey(undefined) ? 'open' : 'retired',
    })
  }

  /** A wallet that asks before each signature signs vouchers with a channel's own key: without it, it is only closed. */
  function hasKey(session: ChannelRecord['session']): boolean {
    return session !== undefined || account.type !== 'json-rpc'
  }

  function recordOf({ id, ...channel }: Channel.Channel, origin: string, duration: bigint): ChannelRecord {
    return {
      channelId: id,
      ...{ chainId: deployment.chainId, contract: deployment.contract, consumer: account.address },
      ...{ provider: channel.provider, origin, expiry: channel.expiry, duration, state: 'open' },
      ...{ tally: Tally.start(channel.deposit), flights: {}, nonce: undefined },
    }
  }

  /** Looks again at a channel of the book: whether it is there, whether it isn't closed after all, and whose it is. */
  async function lookAt(record: ChannelRecord, claims: Claims): Promise<void> {
    const { channelId, origin, state, refused, session } = record
    if ((await endings.settle(channelId)) !== 'open') return
    if (state === 'closed') {
      await channels.reopen(channelId, origin !== '' && !refused && hasKey(session) ? 'open' : 'retired')
    }
    const channel = origin === '' ? await onChain(channelId) : undefined
    if (channel) await adopt(channel, claims)
  }

  async function askOrigins(urls: readonly string[]): Promise<Claims> {
    const origins = urls.map((text) => {
      const url = new URL(text)
      Origin.assertPayable(url)
      return url.origin
    })
    const claims: Claim[] = []
    for (const origin of new Set(origins)) {
      const provider = await providerAt(origin)
      if (provider) claims.push({ origin, provider })
    }
    return { claims, isComplete: claims.length === new Set(origins).size }
  }

  return async ({ origins = [], fromBlock }: RecoverOptions): Promise<void> => {
    await channels.refresh()
    for (const opening of book.view.list('opening')) await opener.resolve(opening).catch(() => {})
    const claims = await askOrigins(origins)
    let overcharged: UntrustedProviderError | undefined
    for (const record of channels.list()) {
      const isFinal = record.finalAmount !== undefined
      await (isFinal ? endings.judge(record) : lookAt(record, claims)).catch((error) => {
        if (!(error instanceof UntrustedProviderError)) throw error
        overcharged ??= error
      })
    }
    for (const channelId of await findOpenings(fromBlock)) {
      if (channels.find(channelId)) continue
      const channel = await onChain(channelId)
      if (channel) await adopt(channel, claims)
    }
    if (overcharged) throw overcharged
  }
}

/** Whose address an origin says it is paid at. Any can say any. */
type Claim = { origin: string; provider: Address }

/** Of all origins that the caller names, if they all answered. */
type Claims = { claims: readonly Claim[]; isComplete: boolean }

/** What an origin says of a channel. */
type Word = { origin: string; tally: Tally.Tally }

/**
 * Whom to believe. One that nobody rivals, since the caller named it; else the one that alone shows the highest voucher of this
 * wallet: the vouchers went there.
 */
function mostSigned(words: readonly Word[], isOnly: boolean): Word | undefined {
  if (isOnly) return words[0]
  const [first, second] = [...words].sort((a, b) => (a.tally.signed > b.tally.signed ? -1 : 1))
  return first && first.tally.signed > (second?.tally.signed ?? 0n) ? first : undefined
}
