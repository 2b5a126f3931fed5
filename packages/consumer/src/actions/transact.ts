import { ContractError, type Deployment, DrainError, TransactionRevertedError } from '@drain/core'
import {
  type Abi,
  type Address,
  BaseError,
  type Chain,
  type Client,
  ContractFunctionRevertedError,
  type Hex,
  InsufficientFundsError,
} from 'viem'
import { simulateContract, waitForTransactionReceipt, writeContract } from 'viem/actions'
import { accountOf, chainOf, type WriteParameters } from './Parameters.ts'

/** A call that changes something. */
export type Call = {
  address: Address
  abi: Abi
  functionName: string
  args: readonly unknown[]
  /** Completes error messages. */
  channelId?: Hex
}

/** The part of a receipt that the actions look at. */
export type Receipt = Awaited<ReturnType<typeof waitForTransactionReceipt>>

/** A call of the channel contract. */
export function contractCall(
  deployment: Deployment.Deployment,
  functionName: string,
  args: readonly unknown[],
  channelId?: Hex,
): Call {
  const call = { address: deployment.contract, abi: ContractError.looseAbi, functionName, args }
  return channelId ? { ...call, channelId } : call
}

/**
 * Simulates a call, sends it and waits for its receipt. What can be known before costs no gas; what fails only when it
 * is mined is an error too.
 *
 * @throws {DrainError} The contract's or the token's refusal, before anything is sent; `insufficient_gas` when the wallet
 * can't pay for the transaction.
 * @throws {TransactionRevertedError} With `transactionHash`: mined and failed, or replaced by another transaction.
 */
export async function transact(client: Client, parameters: WriteParameters, call: Call): Promise<Receipt> {
  const { deployment, publicClient: reader = client } = parameters
  const { channelId, ...contractParameters } = call
  const account = accountOf(client, parameters.account)
  const context = channelId ? { channelId } : {}

  let hash: Hex
  try {
    await simulateContract(reader, { ...contractParameters, account })
    await parameters.onSending?.()
    hash = await writeContract(client, {
      ...contractParameters,
      account,
      chain: chainOf(client, deployment),
    })
  } catch (error) {
    if (isOutOfFunds(error)) throw insufficientGas(account.address, chainOf(client, deployment), error)
    throw ContractError.fromRevert(error, context)
  }

  await parameters.onSent?.(hash)
  const receipt = await receiptOf(reader, hash, parameters.timeout)
  if (receipt.status !== 'success') {
    const cause = await simulateContract(reader, {
      ...contractParameters,
      account,
      blockNumber: receipt.blockNumber,
    }).then(
      () => undefined,
      (error) => error,
    )
    throw revertedError(receipt.transactionHash, ContractError.fromRevert(cause, context), cause)
  }
  return receipt
}

/**
 * Waits for a transaction to be mined, well or not.
 *
 * @throws {TransactionRevertedError} Replaced by another one.
 * @throws {TransactionPendingError}
 */
export async function receiptOf(reader: Client, hash: Hex, timeout = 180_000): Promise<Receipt> {
  let replaced = false
  const receipt = await waitForTransactionReceipt(reader, {
    hash,
    timeout,
    // A wallet may speed a transaction up (the same call) or put another in its place.
    onReplaced: ({ reason }) => {
      replaced = reason !== 'repriced'
    },
  }).catch((error) => {
    // Out of time or out of reach: either way it was sent, and nobody may conclude that it didn't happen.
    throw new TransactionPendingError(hash, error)
  })
  if (replaced) {
    throw new TransactionRevertedError('replaced', {
      message: 'The transaction was cancelled or replaced in the wallet; it did not happen.',
      transactionHash: hash,
    })
  }
  return receipt
}

/** Whether the account can't pay for gas. A node may say it while it estimates or when it is sent. */
function isOutOfFunds(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  if (error.walk((cause) => cause instanceof ContractFunctionRevertedError)) return false
  // Geth's way to say it of an account that has nothing; viem has no error for that.
  const isEmpty = (cause: unknown) => cause instanceof Error && /exceeds allowance \(0\)/.test(cause.message)
  return error.walk((cause) => cause instanceof InsufficientFundsError || isEmpty(cause)) !== null
}

function insufficientGas(address: Address, { id, nativeCurrency }: Chain, cause: unknown): DrainError {
  return new DrainError(
    'insufficient_gas',
    `The wallet ${address} has too little ${nativeCurrency.name} on chain ${id} to pay for gas.`,
    {
      action: 'Send some to it (POL on Polygon, a fraction of one is enough); gas is not paid in USDC.',
      cause,
    },
  )
}

/** Why a mined transaction failed, from the same call made again on the block that refused it. */
function revertedError(transactionHash: Hex, error: unknown, cause: unknown): TransactionRevertedError {
  if (!(error instanceof DrainError)) {
    const reason = 'no reason found'
    const action = 'Look at the transaction in a block explorer; it may have run out of gas.'
    return new TransactionRevertedError(reason, { transactionHash, action, cause })
  }
  return new TransactionRevertedError(revertReason(cause), {
    message: `The transaction was mined and failed. ${error.shortMessage}`,
    action: error.action,
    transactionHash,
    cause: error,
  })
}

function revertReason(error: unknown): string {
  const revert =
    error instanceof BaseError
      ? error.walk((cause) => cause instanceof ContractFunctionRevertedError)
      : undefined
  if (!(revert instanceof ContractFunctionRevertedError)) return 'unknown'
  const named = revert.data && revert.data.errorName !== 'Error' ? revert.data.errorName : undefined
  return named ?? revert.reason ?? 'unknown'
}

/** A transaction was sent and its receipt did not come in time; it may still be mined. */
export class TransactionPendingError extends DrainError {
  override readonly name = 'TransactionPendingError'
  readonly transactionHash: Hex
  constructor(transactionHash: Hex, cause?: unknown) {
    super('transaction_pending', `The transaction ${transactionHash} was sent, and its outcome is unknown.`, {
      action: 'Look for its receipt before you send it again: it may still happen.',
      cause,
    })
    this.transactionHash = transactionHash
  }
}
