/**
 * Turns charges into transactions: claims, closes, close authorizations. Knows the ledger and the chain, nothing of HTTP.
 */
import {
  Channel,
  ChannelNotFoundError,
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
import type { ChannelFacts, ChannelState, ClaimReceipt, Ledger, LedgerVoucher } from '../ledger/Ledger.ts'

/** How a channel ends: settled by the provider (`txHash`), or left to the consumer's `cooperativeClose` (`signature`). */
export type Closing = { channelId: Hex; finalAmount: bigint; txHash?: Hex; signature: Hex }

/** A claim that was paid out. Base units. */
export type Claimed = { channelId: Hex; amount: bigint; txHash: Hex; gasUsed: bigint }

/** A voucher, and what to take of it: cumulative, base units. */
type Take = { voucher: LedgerVoucher; payAmount: bigint }

/** What claiming many channels came to. `waiting`: charged and not claimed, for want of a voucher that low (base units). */
export type Claims = { claimed: Claimed[]; failed: { channelId: Hex; code: string }[]; waiting: bigint }

export type Settlement = {
  /**
   * Ends a frozen channel with nothing reserved: `claimAndClose` when the contract has it and the payout is worth a
   * transaction, and always the provider's signature for a close by the consumer. Repeats get the same answer; a
   * transaction that failed is tried again by them.
   */
  close(channelId: Hex): Promise<Closing>
  /**
   * Claims what was charged and is not claimed yet. On contracts without `claimBatch`, which pay only whole signed amounts,
   * the best voucher for no more than that. `undefined` when there is nothing to claim, or less than `atLeast` (base units).
   */
  claim(channelId: Hex, options?: { atLeast?: bigint }): Promise<Claimed | undefined>
  /**
   * Claims the highest voucher, which may be more than was charged: the last way to be paid on contracts without
   * `claimAndClose`, when the channel is about to expire. What it takes too much is what the consumer signed too much.
   */
  claimSigned(channelId: Hex): Promise<Claimed | undefined>
  /** Runs work that sends a transaction of the provider's account when no other is on its way. */
  inTurn<result>(work: () => Promise<result>): Promise<result>
  /** Claims every channel that has at least `threshold` (base units) unclaimed. A failure of one does not stop the others. */
  claimAll(threshold: bigint): Promise<Claims>
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
  log: (message: string) => void
}): Settlement {
  const { account, walletClient, publicClient, deployment, ledger, channels, minPayout, log } = options
  /** Transactions of the latest closes, for their repeats. */
  const closes = new Map<Hex, Hex>()
  /** One transaction at a time: two would take the same nonce. */
  let queue: Promise<unknown> = Promise.resolve()

  function inTurn<result>(work: () => Promise<result>): Promise<result> {
    const turn = queue.then(work, work)
    queue = turn.catch(() => {})
    return turn
  }

  /** Sends a call and waits for its success; the contract's own errors come back as `DrainError`s. */
  async function transact(
    functionName: 'claim' | 'claimBatch' | 'claimAndClose',
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

  /** What the contract says to have paid for the channel: to the provider, or as the marketplace's fee. */
  function sumOf(
    eventName: 'ChannelClaimed' | 'FeePaid',
    receipt: TransactionReceipt,
    channelId: Hex,
  ): bigint {
    return parseEventLogs({ abi: ContractError.callAbi, eventName, logs: receipt.logs })
      .filter((log) => log.address.toLowerCase() === deployment.contract.toLowerCase())
      .filter((log) => log.args.channelId === channelId)
      .reduce((sum, log) => sum + log.args.amount, 0n)
  }

  const paidOut = (receipt: TransactionReceipt, channelId: Hex) => sumOf('ChannelClaimed', receipt, channelId)

  /** What the ledger keeps of a claim's receipt. */
  function accountsOf(receipt: TransactionReceipt, channelId: Hex): ClaimReceipt {
    const { transactionHash: txHash, gasUsed, effectiveGasPrice } = receipt
    return { txHash, fee: sumOf('FeePaid', receipt, channelId), gasCost: gasUsed * effectiveGasPrice }
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
    const {
      charged,
      claimed,
      finalAmount = charged > claimed ? charged : claimed,
      status,
    } = await known(channelId)
    const authorization = CloseAuthorization.typedData({ channelId, finalAmount }, deployment)
    const closing = { channelId, finalAmount, signature: await account.signTypedData(authorization) }
    const txHash = closes.get(channelId)
    if (txHash) return { ...closing, txHash }
    const isWorthIt = finalAmount > claimed && finalAmount - claimed >= minPayout
    if (status === 'closed' || !isWorthIt || !Deployment.has(deployment, 'claimAndClose')) return closing
    try {
      return { ...closing, txHash: await inTurn(() => claimAndClose(channelId)) }
    } catch (error) {
      // The consumer can close with the signature; whichever comes first, the amounts are the same.
      log(`channel ${channelId} was not settled: ${codeOf(error)}`)
      if (error instanceof ChannelNotFoundError) await markClosed(channelId)
      return closing
    }
  }

  async function markClosed(channelId: Hex): Promise<void> {
    await ledger.markClosed(channelId)
    channels.forget(channelId)
  }

  async function claimAndClose(channelId: Hex): Promise<Hex> {
    const state = await known(channelId)
    const { finalAmount, highest } = state
    if (finalAmount === undefined || !highest) throw new DrainError('not_finalized', 'Nothing to close with.')
    await ledger.beginClaim(channelId, finalAmount)
    const args = [channelId, highest.amount, highest.nonce, finalAmount, highest.signature]
    const receipt = mustPay(await transact('claimAndClose', args, channelId), 'claimAndClose', channelId)
    await ledger.endClaim({ ...state, claimed: finalAmount }, accountsOf(receipt, channelId))
    await markClosed(channelId)
    closes.set(channelId, receipt.transactionHash)
    const [oldest] = closes.keys()
    if (oldest && closes.size > rememberedCloses) closes.delete(oldest)
    return receipt.transactionHash
  }

  async function claim(
    channelId: Hex,
    pick: (state: ChannelState) => Take | undefined,
  ): Promise<Claimed | undefined> {
    const facts = await onChain(await known(channelId))
    if (!facts) {
      await markClosed(channelId)
      return undefined
    }
    const state = await ledger.recordClaimed(facts)
    const take = pick(state)
    if (!take || take.payAmount <= state.claimed) return undefined
    const begun = await ledger.beginClaim(channelId, take.payAmount)
    if (!begun.ok) return undefined
    let receipt: TransactionReceipt
    try {
      receipt = await sendClaim(channelId, take)
    } catch (error) {
      // Known not to have paid: forget the announcement, by what the chain shows now, since another process may have claimed.
      // Otherwise it stays, and the next claim reads the chain first.
      const now = error instanceof DrainError ? await onChain(state) : undefined
      if (now) await ledger.endClaim(now)
      throw error
    }
    await ledger.endClaim({ ...facts, claimed: take.payAmount }, accountsOf(receipt, channelId))
    const { transactionHash: txHash, gasUsed } = receipt
    return { channelId, amount: paidOut(receipt, channelId), txHash, gasUsed }
  }

  async function sendClaim(channelId: Hex, { voucher, payAmount }: Take): Promise<TransactionReceipt> {
    const { amount, nonce, signature } = voucher
    if (payAmount === amount)
      return mustPay(
        await transact('claim', [channelId, amount, nonce, signature], channelId),
        'claim',
        channelId,
      )
    const entry = { ...voucher, channelId, payAmount }
    return mustPay(await transact('claimBatch', [[entry]], channelId), 'claimBatch', channelId)
  }

  /**
   * A claim that paid, by its event: a batch skips what it can't pay, and a receipt may be that of another transaction, which
   * took the place of ours.
   */
  function mustPay(receipt: TransactionReceipt, functionName: string, channelId: Hex): TransactionReceipt {
    if (paidOut(receipt, channelId) > 0n) return receipt
    throw new TransactionRevertedError(functionName, {
      message: `The ${functionName} of channel ${channelId} paid nothing, or another transaction took its place.`,
      action: 'Look at the channel on chain before trying again.',
      transactionHash: receipt.transactionHash,
    })
  }

  /** The most that can be claimed without taking more than was charged. */
  function charged({ highest, claimable, charged: payAmount }: ChannelState): Take | undefined {
    if (highest && Deployment.has(deployment, 'claimBatch')) return { voucher: highest, payAmount }
    return claimable && { voucher: claimable, payAmount: claimable.amount }
  }

  const claimCharged = (channelId: Hex, atLeast: bigint) =>
    inTurn(() =>
      claim(channelId, (state) => {
        const take = charged(state)
        return take && take.payAmount - state.claimed >= atLeast ? take : undefined
      }),
    )

  return {
    close,
    inTurn,
    claim: (channelId, { atLeast = 1n } = {}) => claimCharged(channelId, atLeast),
    claimSigned: (channelId) =>
      inTurn(() =>
        claim(channelId, ({ highest, charged, claimed }) =>
          highest && charged > claimed ? { voucher: highest, payAmount: highest.amount } : undefined,
        ),
      ),
    async claimAll(threshold) {
      const claims: Claims = { claimed: [], failed: [], waiting: 0n }
      const unclaimedOver = threshold > 0n ? threshold - 1n : 0n
      for await (const { channelId, status, charged, claimed } of ledger.channels({ unclaimedOver })) {
        if (status === 'closed') continue
        try {
          const paid = await claimCharged(channelId, threshold)
          if (paid) claims.claimed.push(paid)
          claims.waiting += charged - claimed - (paid?.amount ?? 0n)
        } catch (error) {
          claims.failed.push({ channelId, code: codeOf(error) })
        }
      }
      return claims
    },
  }
}

const rememberedCloses = 10_000

/** What went wrong, for a log: messages of others may carry a node's URL with its key. */
function codeOf(error: unknown): string {
  return error instanceof DrainError ? error.code : 'unavailable'
}
