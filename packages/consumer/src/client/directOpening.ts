/** Openings with a transaction of the wallet's own: what is known before, how they are sent, and what their errors mean. */
import {
  Channel,
  DrainError,
  drainChannelAbi,
  InsufficientAllowanceError,
  SessionKey,
  TransactionRevertedError,
} from '@drain/core'
import { type Address, BaseError, type Hex, UserRejectedRequestError, zeroAddress } from 'viem'
import { readContract } from 'viem/actions'
import { approveUsdc } from '../actions/approveUsdc.ts'
import { getAllowance } from '../actions/getAllowance.ts'
import { openChannel } from '../actions/openChannel.ts'
import type { Wallet } from './Wallet.ts'

type Terms = { provider: Address; amount: bigint; duration: bigint; signer: Address | undefined }

/** The id that the next direct opening will get, and its key's proof, unless another process opens before it. */
export async function expectDirect(
  { deployment, publicClient, account }: Wallet,
  { provider, amount, duration, signer }: Terms,
): Promise<{ channelId?: Hex; proof?: Hex }> {
  if (deployment.channelIds !== 'opening') return {}
  const consumer = account.address
  const nonce = await readContract(publicClient, {
    address: deployment.contract,
    abi: drainChannelAbi,
    functionName: 'nonces',
    args: [consumer],
  })
  const plain = Channel.directOpening({ consumer, provider, amount, duration, nonce })
  const opening = { ...plain, signer: signer ?? zeroAddress }
  const channelId = Channel.computeId(deployment, opening)
  return { channelId, ...(signer && { proof: SessionKey.encodeProof(opening, 'direct') }) }
}

/** Lets the contract take a deposit, and no more. */
export async function approve(wallet: Wallet, amount: bigint): Promise<void> {
  const { deployment, account, client, publicClient } = wallet
  const allowance = await getAllowance(publicClient, { deployment, account })
  if (allowance < amount) await approveUsdc(client, { ...wallet.parameters, amount })
}

/** Opens what was approved. Another process with the same wallet and another store may use up the allowance in between. */
export async function openApproved(
  wallet: Wallet,
  terms: Terms & { onSending: () => Promise<void>; onSent: (hash: Hex) => Promise<void> },
): Promise<openChannel.ReturnValue> {
  for (let tries = 1; ; tries++) {
    try {
      return await openChannel(wallet.client, { ...wallet.parameters, ...terms })
    } catch (error) {
      if (!(error instanceof InsufficientAllowanceError) || tries === 3) throw error
      await approve(wallet, terms.amount)
    }
  }
}

/**
 * Whether an error says for sure that nothing was sent, or that what was sent has failed. Of a node's other answers nobody knows
 * what happened before.
 */
export function isRefused(error: unknown): boolean {
  if (error instanceof BaseError) {
    return error.walk((cause) => cause instanceof UserRejectedRequestError) !== null
  }
  // Gateways give errors of their own the form of a revert: one that was mined has a hash.
  if (error instanceof TransactionRevertedError) return error.transactionHash !== undefined
  return error instanceof DrainError && refusals.has(error.code)
}

const refusals = new Set([
  'insufficient_gas',
  'insufficient_balance',
  'insufficient_allowance',
  'feature_unavailable',
  'invalid_format',
  'invalid_amount',
  'invalid_duration',
])
