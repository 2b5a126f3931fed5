import {
  type Channel,
  ChannelNotFoundError,
  Domain,
  drainChannelAbi,
  SessionKey,
  Voucher,
  Headers as Wire,
} from '@drain/core'
import { type Address, type Hex, isAddress, isAddressEqual, zeroAddress } from 'viem'
import { getBlockNumber, getContractEvents } from 'viem/actions'
import { getChannel } from '../actions/getChannel.ts'
import type { Book } from './Book.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelOpener } from './ChannelOpener.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import * as Origin from './Origin.ts'
import { readJson } from './readJson.ts'
import type { ChannelRecord } from './records.ts'
import * as Tally from './Tally.ts'
import type { Wallet } from './Wallet.ts'

export type RecoverOptions = {
  /**
   * Origins whose providers this wallet has paid. Channels to their addresses are bound to them again, and pay. Channels to
   * nobody listed can only be closed, after their expiry.
   */
  origins?: readonly string[] | undefined
  /** The first block to look for openings in; about the last two days of Polygon by default. */
  fromBlock?: bigint | undefined
}

/** Blocks that are looked at by default, and at a time; nodes answer for so many at most. */
const usualBlocks = 90_000n
const windowBlocks = 9_000n
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
  /** Unix milliseconds. */
  now: () => number
}) {
  const { fetch, wallet, signer, book, channels, opener, now } = options
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

  async function adopt(channel: Channel.Channel, origin: string): Promise<void> {
    const seconds = BigInt(Math.floor(now() / 1_000))
    // The chain doesn't keep the duration: what is left of it is as good.
    const left = channel.expiry > seconds ? channel.expiry - seconds : 1n
    const unknown = { ...Tally.start(channel.deposit), signed: channel.deposit, delivered: channel.deposit }
    const tally = origin === '' ? unknown : await askState(recordOf(channel, origin, left))
    // Without its provider's word nothing more is signed there, and what it claims can't be judged.
    // A wallet that asks before each signature has lost the key that signed for it: such a channel is only closed.
    const isUsable = origin !== '' && tally !== undefined && account.type !== 'json-rpc'
    const state = isUsable ? 'open' : 'retired'
    await channels.add(channel, {
      origin: tally ? origin : '',
      duration: left,
      tally: tally ?? unknown,
      state,
    })
  }

  function recordOf({ id, ...channel }: Channel.Channel, origin: string, duration: bigint): ChannelRecord {
    return {
      channelId: id,
      ...{ chainId: deployment.chainId, contract: deployment.contract, consumer: account.address },
      ...{ provider: channel.provider, origin, expiry: channel.expiry, duration, state: 'open' },
      ...{ tally: Tally.start(channel.deposit), flights: {}, nonce: undefined },
    }
  }

  return async ({ origins = [], fromBlock }: RecoverOptions): Promise<void> => {
    await channels.refresh()
    for (const opening of book.view.list('opening')) await opener.resolve(opening).catch(() => {})
    const providers = new Map<string, Address>()
    for (const text of origins) {
      const url = new URL(text)
      Origin.assertPayable(url)
      const provider = await providerAt(url.origin)
      if (provider) providers.set(url.origin, provider)
    }
    const originOf = (provider: Address) =>
      [...providers].find(([, one]) => isAddressEqual(one, provider))?.[0] ?? ''
    for (const record of channels.list()) {
      if (record.state === 'closed') continue
      const channel = await onChain(record.channelId)
      if (!channel) await channels.setClosed(record.channelId, undefined)
      else if (record.origin === '' && originOf(channel.provider) !== '')
        await channels.forget(record.channelId)
    }
    for (const channelId of await findOpenings(fromBlock)) {
      if (channels.find(channelId)) continue
      const channel = await onChain(channelId)
      if (channel && channel.provider !== zeroAddress) await adopt(channel, originOf(channel.provider))
    }
  }
}
