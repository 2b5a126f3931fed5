import {
  ChannelNotFoundError,
  CloseAuthorization,
  Domain,
  DrainError,
  Signature,
  UntrustedProviderError,
} from '@drain/core'
import type { Hash, Hex } from 'viem'
import { closeChannel } from '../actions/closeChannel.ts'
import { refundOf } from '../actions/closing.ts'
import { cooperativeClose } from '../actions/cooperativeClose.ts'
import { getChannel } from '../actions/getChannel.ts'
import { receiptOf } from '../actions/transact.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelSigner } from './ChannelSigner.ts'
import { type Closing, type Endings, overcharged } from './endings.ts'
import { errorWords } from './errorWords.ts'
import { readJson } from './readJson.ts'
import type { ChannelRecord } from './records.ts'
import * as Tally from './Tally.ts'
import type { Wallet } from './Wallet.ts'

/** How long the signed request holds, in seconds: short of the 5 minutes allowed, for clocks that differ. */
const requestAge = 120n

/** How long a provider may take to end what runs and to settle, in milliseconds. */
const patience = 120_000

/** What a provider answers to a close request: its consent, or a transaction that did it, or both. */
type Answer = { finalAmount: bigint; txHash: Hash | undefined; signature: Hex | undefined }

/** Closes one channel; joins a closing of it that runs. Rejects unless this is seen on chain. */
export type Closer = (channelId: Hex) => Promise<Closing>

/** Closes one channel: alone after its expiry, with its provider before. */
export function createCloser(options: {
  fetch: typeof globalThis.fetch
  wallet: Wallet
  signer: ChannelSigner
  book: ChannelBook
  endings: Endings
  /** Unix milliseconds. */
  now: () => number
}): Closer {
  const { fetch, wallet, signer, book, endings, now } = options
  const { deployment } = wallet
  const seconds = () => BigInt(Math.floor(now() / 1_000))

  async function close(record: ChannelRecord): Promise<{ txHash: Hash; refund: bigint }> {
    const { channelId } = record
    if (seconds() >= record.expiry) {
      return wallet.exclusively(() => closeChannel(wallet.client, { ...wallet.parameters, channelId }))
    }
    const answer = await askProvider(record)
    if (answer.txHash) {
      try {
        const receipt = await receiptOf(wallet.publicClient, answer.txHash, wallet.parameters.timeout)
        return { txHash: answer.txHash, refund: refundOf(receipt, deployment, channelId) }
      } catch (error) {
        if (!answer.signature) throw error
        // Its transaction did not do it; its consent still can.
      }
    }
    await assertCharged(record, answer.finalAmount)
    const providerSignature = verified(record, answer)
    const { finalAmount } = answer
    return wallet.exclusively(() =>
      cooperativeClose(wallet.client, { ...wallet.parameters, channelId, finalAmount, providerSignature }),
    )
  }

  async function askProvider(record: ChannelRecord): Promise<Answer> {
    const { channelId, origin, expiry } = record
    if (origin === '') {
      const expires = new Date(Number(expiry) * 1_000).toISOString()
      throw new DrainError('close_failed', `Nobody is known who could close channel ${channelId} early.`, {
        action: `Name its provider with client.recover({ origins }), or close it after its expiry (${expires}).`,
      })
    }
    const deadline = seconds() + requestAge
    const { signature } = await signer.signRequest(record, 'close', deadline)
    try {
      const response = await fetch(`${origin}/v1/close-channel`, {
        method: 'POST',
        redirect: 'manual',
        signal: AbortSignal.timeout(patience),
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ channelId, deadline: deadline.toString(), signature }),
      })
      return parseAnswer(await readJson(response), channelId)
    } catch (error) {
      throw new DrainError('close_failed', `${origin} did not close channel ${channelId}.`, {
        action: 'Try again; after its expiry the same call closes it without the provider.',
        details: errorWords(error),
        cause: error,
      })
    }
  }

  /**
   * Agrees to no more than can rightly have been charged, or than the chain says is taken already.
   *
   * @throws {UntrustedProviderError}
   */
  async function assertCharged(record: ChannelRecord, finalAmount: bigint): Promise<void> {
    const { channelId, expiry } = record
    const latest = book.get(channelId)
    if (finalAmount <= Tally.bound(latest.tally)) return
    const { claimed } = await getChannel(wallet.publicClient, { deployment, channelId })
    if (finalAmount <= claimed) return
    const expires = new Date(Number(expiry) * 1_000).toISOString()
    throw overcharged(
      latest,
      finalAmount,
      `Nothing was signed. What it hasn't claimed by ${expires} comes back then: close the channel again after that.`,
    )
  }

  /** @throws {UntrustedProviderError} When the consent isn't this provider's. */
  function verified({ provider, origin, channelId }: ChannelRecord, { finalAmount, signature }: Answer): Hex {
    const digest = CloseAuthorization.digest({ channelId, finalAmount }, Domain.separator(deployment))
    if (signature && Signature.isValid(digest, signature, provider)) return signature
    throw new UntrustedProviderError(
      `${origin} agreed to close channel ${channelId} without a valid signature of ${provider}.`,
      'Try again; after its expiry the same call closes it without the provider.',
    )
  }

  async function closeOnce(channelId: Hex): Promise<Closing> {
    await book.refresh()
    const record = book.find(channelId)
    if (!record || record.state === 'closed') {
      throw new DrainError('channel_unknown', `This client has no open channel ${channelId}.`, {
        action: 'See client.channels(). Channels of others are closed with the closeChannel action.',
      })
    }
    // From here on no request is paid from it, as the provider will take none.
    await book.setState(channelId, 'retired')
    let done: { txHash: Hash; refund: bigint }
    try {
      done = await close(record)
    } catch (error) {
      await settleFailure(record, error)
      throw error
    }
    return endings.end(channelId, done)
  }

  /**
   * After a failed close the channel is what it was, unless it is gone from the chain: a provider closes by itself, too.
   *
   * @throws {ChannelNotFoundError}
   * @throws {UntrustedProviderError} It has closed it, and took more than it charged.
   */
  async function settleFailure({ channelId, state: before }: ChannelRecord, cause: unknown): Promise<void> {
    // Unless the provider froze it: then it says so to the next request.
    if (before === 'open') await book.setState(channelId, before)
    const state = await endings.settle(channelId).catch((error) => {
      if (error instanceof UntrustedProviderError) throw error
      return 'unseen'
    })
    if (state === 'closed') throw new ChannelNotFoundError(channelId, cause)
  }

  const running = new Map<Hex, Promise<Closing>>()
  return (channelId) => {
    const closing = running.get(channelId) ?? closeOnce(channelId).finally(() => running.delete(channelId))
    running.set(channelId, closing)
    return closing
  }
}

/** @throws When it isn't one, or is about another channel. */
function parseAnswer(json: Record<string, unknown>, channelId: Hex): Answer {
  const { channelId: id, finalAmount, txHash, signature } = json
  if (typeof id !== 'string' || id.toLowerCase() !== channelId)
    throw new Error('it answers about another channel')
  if (typeof finalAmount !== 'string' || !/^[0-9]{1,78}$/.test(finalAmount)) {
    throw new Error('finalAmount is not a decimal string of base units')
  }
  return { finalAmount: BigInt(finalAmount), txHash: hex(txHash, 32), signature: hex(signature, 65) }
}

function hex(value: unknown, bytes: number): Hex | undefined {
  const isHex = typeof value === 'string' && value.length === 2 + 2 * bytes && /^0x[0-9a-fA-F]+$/.test(value)
  return isHex ? (value.toLowerCase() as Hex) : undefined
}
