/** Ends of frozen channels: with a transaction where that is worth it, and always with the provider's signature. */
import {
  ChannelNotFoundError,
  CloseAuthorization,
  Deployment,
  DrainError,
  TransactionRevertedError,
} from '@drain/core'
import type { Hex, LocalAccount } from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import type { ChannelState, Ledger } from '../ledger/Ledger.ts'
import { type Closing, type Closings, finalAmountOf } from './Closings.ts'
import { codeOf } from './codeOf.ts'
import { gasOf, inUsdc } from './gasCost.ts'
import type { Entry } from './Journal.ts'
import { paidOut } from './plan.ts'
import { hasClosed } from './receipts.ts'
import { signInTime } from './signInTime.ts'
import type { Transactions } from './Transactions.ts'

export type Endings = {
  /** As `Settlement.close`. */
  close(channelId: Hex): Promise<Closing>
  /** Whether this process is ending a channel. */
  isUnderWay(channelId: Hex): boolean
}

export function createEndings(options: {
  account: LocalAccount
  deployment: Deployment.Deployment
  ledger: Pick<Ledger, 'get' | 'beginClaim'>
  channels: Pick<ChannelReader, 'forget'>
  closings: Pick<Closings, 'get' | 'keep'>
  transactions: Pick<Transactions, 'simulate' | 'send' | 'mined' | 'unsettled'>
  /** Base units. */
  minPayout: bigint
  /** Base units for one coin of the chain. */
  nativePrice: bigint
  /** Wei per gas, at the moment. @throws whatever the node fails with */
  gasPrice: () => Promise<bigint>
  log: (message: string) => void
}): Endings {
  const { account, deployment, ledger, channels, closings, transactions, minPayout, nativePrice, log } =
    options
  const underWay = new Map<Hex, Promise<Closing>>()

  async function known(channelId: Hex): Promise<ChannelState> {
    const state = await ledger.get(channelId)
    if (!state) throw channelUnknown(channelId)
    return state
  }

  /** Base units that a close costs in gas. */
  const cost = async () => inUsdc((await options.gasPrice()) * gasOf.claim, nativePrice)

  function close(channelId: Hex): Promise<Closing> {
    const under = underWay.get(channelId)
    if (under) return under
    const attempt = end(channelId).finally(() => underWay.delete(channelId))
    underWay.set(channelId, attempt)
    return attempt
  }

  async function end(channelId: Hex): Promise<Closing> {
    const state = await known(channelId)
    const closing = await authorize(state)
    const entry = await closeUnderWay(channelId)
    const { txHash } = closing
    if (txHash && (state.status === 'closed' || entry?.mined?.hash === txHash)) return closing
    try {
      if (!entry && !(await isWorthClosing(state, closing.finalAmount))) return closing
      const hash = await claimAndClose(channelId, entry)
      return hash ? await closings.keep({ ...closing, txHash: hash }) : closing
    } catch (error) {
      // The consumer can close with the signature; whichever comes first, the amounts are the same.
      log(`channel ${channelId} was not settled: ${codeOf(error)}`)
      if (error instanceof ChannelNotFoundError) channels.forget(channelId)
      return closing
    }
  }

  /** Signs what the ledger has fixed, and nothing else, unless that was done before. Written down when it resolves. */
  async function authorize(state: ChannelState): Promise<Closing> {
    const { channelId } = state
    const finalAmount = finalAmountOf(state, deployment)
    if (finalAmount === undefined)
      throw new DrainError('not_finalized', `The final amount of channel ${channelId} is not fixed.`)
    const told = await closings.get(channelId)
    if (told?.finalAmount === finalAmount) return told
    const authorization = CloseAuthorization.typedData({ channelId, finalAmount }, deployment)
    const signature = await signInTime(account.address, () => account.signTypedData(authorization))
    return closings.keep({ channelId, finalAmount, signature })
  }

  async function isWorthClosing({ status, claimed }: ChannelState, finalAmount: bigint): Promise<boolean> {
    const payout = finalAmount - claimed
    const isPossible = status !== 'closed' && payout > 0n && payout >= minPayout
    if (!isPossible || !Deployment.has(deployment, 'claimAndClose')) return false
    return paidOut(payout, BigInt(deployment.feeBps)) > (await cost())
  }

  /** The transaction's hash once it is mined; `undefined` when it takes too long. `sent`: it was before. */
  async function claimAndClose(channelId: Hex, sent: Entry | undefined): Promise<Hex | undefined> {
    const entry = sent ?? (await send(channelId))
    const { receipt } = await transactions.mined(entry)
    if (!receipt) return undefined
    // Paid nothing when a claim before it has paid all; what counts here is the close.
    if (!hasClosed(receipt, deployment, channelId)) throw notPaid(entry, receipt.transactionHash)
    channels.forget(channelId)
    return receipt.transactionHash
  }

  async function send(channelId: Hex): Promise<Entry> {
    const { finalAmount, highest } = await known(channelId)
    if (finalAmount === undefined || !highest) throw new DrainError('not_finalized', 'Nothing to close with.')
    const args = [channelId, highest.amount, highest.nonce, finalAmount, highest.signature]
    const call = { kind: 'claimAndClose', functionName: 'claimAndClose', args } as const
    await transactions.simulate(call, channelId)
    await ledger.beginClaim(channelId, finalAmount)
    return transactions.send({ ...call, takes: [{ channelId, payAmount: finalAmount }] })
  }

  async function closeUnderWay(channelId: Hex): Promise<Entry | undefined> {
    const entries = await transactions.unsettled()
    return entries.find(({ kind, takes }) => kind === 'claimAndClose' && takes[0]?.channelId === channelId)
  }

  return { close, isUnderWay: (channelId) => underWay.has(channelId) }
}

export function channelUnknown(channelId: Hex): DrainError {
  return new DrainError('channel_unknown', `The ledger does not know channel ${channelId}.`)
}

function notPaid({ kind }: Entry, transactionHash: Hex): DrainError {
  return new TransactionRevertedError(kind, {
    message: `The ${kind} paid nothing, or another transaction took its place.`,
    action: 'Look at the channel on chain before trying again.',
    transactionHash,
  })
}
