import { type Channel, ChannelNotFoundError } from '@drain/core'
import { type Hex, isAddressEqual, TransactionNotFoundError } from 'viem'
import { getTransaction, getTransactionCount, getTransactionReceipt } from 'viem/actions'
import { getChannel } from '../actions/getChannel.ts'
import { openedChannel } from '../actions/openChannel.ts'
import { patience } from './ChannelOpener.ts'
import type { OpeningRecord } from './records.ts'
import type { Wallet } from './Wallet.ts'

/**
 * What became of a direct opening that was begun: its channel, `pending` while it may still be mined, or nothing.
 *
 * @param now Unix milliseconds.
 */
export async function findOpened(
  wallet: Wallet,
  { provider, amount, duration, channelId, hash, session, begunAt }: OpeningRecord,
  now: number,
): Promise<{ channel: Channel.Channel; proof?: Hex } | 'pending' | undefined> {
  const { deployment, publicClient, account } = wallet
  const consumer = account.address
  if (channelId) {
    try {
      const channel = await getChannel(publicClient, { deployment, channelId })
      if (isAddressEqual(channel.consumer, consumer)) return { channel }
    } catch (error) {
      if (!(error instanceof ChannelNotFoundError)) throw error
    }
  }
  const receipt = hash && (await getTransactionReceipt(publicClient, { hash }).catch(() => undefined))
  if (receipt?.status === 'reverted') return undefined
  // Others with this wallet may have opened in between, so that its id is another one, and the proof of its key.
  const terms = { deployment, consumer, provider, amount, duration, signer: session?.address }
  if (receipt) return openedChannel(publicClient, receipt, terms)
  if (hash && (await isWaiting(wallet, hash))) return 'pending'
  if (now >= begunAt + patience) return undefined
  // Without a hash it may never have been sent: then the node knows of nothing that waits.
  if (!hash && now >= begunAt + settling && !(await hasPending(wallet))) return undefined
  return 'pending'
}

/** How long a transaction that was sent may be unknown to the node, in milliseconds. */
const settling = 60_000

/** Whether the node still knows a transaction that isn't mined. */
async function isWaiting({ publicClient }: Wallet, hash: Hex): Promise<boolean> {
  try {
    await getTransaction(publicClient, { hash })
    return true
  } catch (error) {
    if (error instanceof TransactionNotFoundError) return false
    throw error
  }
}

async function hasPending({ publicClient, account: { address } }: Wallet): Promise<boolean> {
  const [latest, pending] = await Promise.all([
    getTransactionCount(publicClient, { address, blockTag: 'latest' }),
    getTransactionCount(publicClient, { address, blockTag: 'pending' }),
  ])
  return pending > latest
}
