/**
 * Turns charges into transactions: claims, closes, close authorizations. Knows the ledger and the chain, nothing of HTTP.
 */
import {
  Channel,
  CloseAuthorization,
  ContractError,
  Deployment,
  DrainError,
  TransactionRevertedError,
} from '@drain/core'
import {
  type Account,
  type Chain,
  encodeFunctionData,
  type Hex,
  type LocalAccount,
  type PublicClient,
  parseEventLogs,
  type TransactionReceipt,
  type Transport,
  type WalletClient,
} from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import type { ChannelFacts, ChannelState, Ledger } from '../ledger/Ledger.ts'

/** How a channel ends: settled by the provider (`txHash`), or left to the consumer's `cooperativeClose` (`signature`). */
export type Closing = { channelId: Hex; finalAmount: bigint; txHash?: Hex; signature: Hex }

/** A claim that was paid out. Base units. */
export type Claimed = { channelId: Hex; amount: bigint; txHash: Hex; gasUsed: bigint }

export type Settlement = {
  /**
   * Ends a frozen channel with nothing reserved: `claimAndClose` when the payout is worth a transaction, and always the
   * provider's signature for a close by the consumer. Repeats get the same answer.
   */
  close(channelId: Hex): Promise<Closing>
  /**
   * Claims what was charged and is not claimed yet, with the best voucher for no more than that. `undefined` when there is
   * no such voucher, or it would pay less than `atLeast` (base units): the rest waits for the close.
   */
  claim(channelId: Hex, options?: { atLeast?: bigint }): Promise<Claimed | undefined>
  /** Claims every channel that has at least `threshold` (base units) unclaimed. A failure of one does not stop the others. */
  claimAll(threshold: bigint): Promise<{ claimed: Claimed[]; failed: { channelId: Hex; error: string }[] }>
}

export function createSettlement(options: {
  account: LocalAccount
  walletClient: WalletClient<Transport, Chain, Account>
  publicClient: PublicClient
  deployment: Deployment.Deployment
  ledger: Ledger
  channels: ChannelReader
  /** Base units. */
  minPayout: bigint
}): Settlement {
  const { account, walletClient, publicClient, deployment, ledger, channels, minPayout } = options
  /** One transaction at a time: two would take the same nonce. */
  let queue: Promise<unknown> = Promise.resolve()

  function inTurn<result>(work: () => Promise<result>): Promise<result> {
    const turn = queue.then(work, work)
    queue = turn.catch(() => {})
    return turn
  }

  /** Sends a call and waits for its success; the contract's own errors come back as `DrainError`s. */
  async function transact(
    functionName: 'claim' | 'claimAndClose',
    args: readonly unknown[],
    channelId: Hex,
  ): Promise<TransactionReceipt> {
    const call = { address: deployment.contract, abi: ContractError.looseAbi, functionName, args } as const
    try {
      await publicClient.simulateContract({ ...call, account })
    } catch (error) {
      throw ContractError.fromRevert(error, { channelId })
    }
    const data = encodeFunctionData(call)
    const hash = await walletClient.sendTransaction({
      to: deployment.contract,
      data,
      account,
      chain: walletClient.chain,
    })
    const receipt = await publicClient.waitForTransactionReceipt({ hash })
    if (receipt.status !== 'success') {
      throw new TransactionRevertedError(functionName, {
        message: `The ${functionName} of channel ${channelId} was mined and failed.`,
        action: 'Look at the channel on chain before trying again.',
        transactionHash: hash,
      })
    }
    return receipt
  }

  function paidOut(receipt: TransactionReceipt, channelId: Hex): bigint {
    const claims = parseEventLogs({
      abi: ContractError.callAbi,
      eventName: 'ChannelClaimed',
      logs: receipt.logs,
    })
    return claims
      .filter((log) => log.address.toLowerCase() === deployment.contract.toLowerCase())
      .filter((log) => log.args.channelId === channelId)
      .reduce((sum, log) => sum + log.args.amount, 0n)
  }

  async function known(channelId: Hex): Promise<ChannelState> {
    const state = await ledger.get(channelId)
    if (!state) throw new DrainError('channel_unknown', `The ledger does not know channel ${channelId}.`)
    return state
  }

  /** The ledger's channel with what the chain shows now; `undefined` when it is closed there. */
  async function onChain(state: ChannelState): Promise<ChannelFacts | undefined> {
    const channel = await channels.read(state.channelId)
    return Channel.exists(channel) ? { ...channel, channelId: channel.id } : undefined
  }

  async function close(channelId: Hex): Promise<Closing> {
    const { finalAmount, claimed, status } = await known(channelId)
    if (finalAmount === undefined) {
      throw new DrainError('not_finalized', `Channel ${channelId} has no final amount yet.`, {
        action: 'Freeze and finalize it first.',
      })
    }
    const signature = await account.signTypedData(
      CloseAuthorization.typedData({ channelId, finalAmount }, deployment),
    )
    const closing = { channelId, finalAmount, signature }
    const isWorthIt = finalAmount - claimed >= minPayout && finalAmount > claimed
    if (status === 'closed' || !isWorthIt || !Deployment.has(deployment, 'claimAndClose')) return closing
    try {
      return { ...closing, txHash: await inTurn(() => claimAndClose(channelId)) }
    } catch {
      return closing // the consumer can close with the signature; whichever comes first, the amounts are the same
    }
  }

  async function claimAndClose(channelId: Hex): Promise<Hex> {
    const state = await known(channelId)
    const { finalAmount, highest } = state
    if (finalAmount === undefined || !highest) throw new DrainError('not_finalized', 'Nothing to close with.')
    await ledger.beginClaim(channelId, finalAmount)
    const args = [channelId, highest.amount, highest.nonce, finalAmount, highest.signature]
    const receipt = await transact('claimAndClose', args, channelId)
    await ledger.endClaim({ ...state, claimed: finalAmount })
    await ledger.markClosed(channelId)
    channels.forget(channelId)
    return receipt.transactionHash
  }

  async function claim(channelId: Hex, atLeast: bigint): Promise<Claimed | undefined> {
    const before = await known(channelId)
    const facts = await onChain(before)
    if (!facts) {
      await ledger.markClosed(channelId)
      channels.forget(channelId)
      return undefined
    }
    const { claimable, claimed } = await ledger.recordClaimed(facts)
    if (!claimable || claimable.amount <= claimed || claimable.amount - claimed < atLeast) return undefined
    const begun = await ledger.beginClaim(channelId, claimable.amount)
    if (!begun.ok) return undefined
    let receipt: TransactionReceipt
    try {
      receipt = await transact(
        'claim',
        [channelId, claimable.amount, claimable.nonce, claimable.signature],
        channelId,
      )
    } catch (error) {
      // Known not to have paid: forget the announcement. Otherwise it stays, and the next claim reads the chain first.
      if (error instanceof DrainError) await ledger.endClaim(facts)
      throw error
    }
    await ledger.endClaim({ ...facts, claimed: claimable.amount })
    const { transactionHash: txHash, gasUsed } = receipt
    return { channelId, amount: paidOut(receipt, channelId), txHash, gasUsed }
  }

  return {
    close,
    claim: (channelId, { atLeast = 1n } = {}) => inTurn(() => claim(channelId, atLeast)),
    async claimAll(threshold) {
      const claimed: Claimed[] = []
      const failed: { channelId: Hex; error: string }[] = []
      const unclaimedOver = threshold > 0n ? threshold - 1n : 0n
      for await (const { channelId, status } of ledger.channels({ unclaimedOver })) {
        if (status === 'closed') continue
        try {
          const paid = await inTurn(() => claim(channelId, threshold))
          if (paid) claimed.push(paid)
        } catch (error) {
          failed.push({ channelId, error: error instanceof DrainError ? error.code : 'unavailable' })
        }
      }
      return { claimed, failed }
    },
  }
}
