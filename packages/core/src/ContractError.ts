/** Contract reverts, as the errors a caller handles. */
import { type Abi, BaseError, ContractFunctionRevertedError, type Hex, parseAbi } from 'viem'
import { drainChannelAbi } from './abi.generated.ts'
import {
  ChannelNotFoundError,
  type DrainError,
  InsufficientAllowanceError,
  InsufficientBalanceError,
  TransactionRevertedError,
} from './Errors.ts'

/** Errors of the older contracts, which carry no values. */
const olderErrors = parseAbi([
  'error ChannelExists()',
  'error ChannelNotFound()',
  'error NotProvider()',
  'error NotConsumer()',
  'error NotExpired()',
  'error InvalidSignature()',
  'error InvalidAmount()',
  'error TransferFailed()',
  'error ZeroAddress()',
])

/** The ABI to call any deployment with: the current functions, and the errors of all contracts. */
export const callAbi: [...typeof drainChannelAbi, ...typeof olderErrors] = [
  ...drainChannelAbi,
  ...olderErrors,
]

/** What to do about a revert, by the contract's error name. */
const advice: Record<string, string> = {
  NotProvider: 'Only the channel’s provider can do this: use its account.',
  NotConsumer: 'Only the channel’s consumer can do this: use its account.',
  NotExpired: 'Wait for the channel’s expiry, or ask the provider to close it.',
  InvalidSignature:
    'Check chain, contract and signer: the signature must come from the other party of this channel.',
  InvalidAmount: 'The amount must be above what was already claimed and at most the deposit.',
  InvalidDuration: 'Use at least one second and at most 365 days.',
}

/**
 * Turns what viem throws for a reverted call or simulation into a `DrainError`. Errors that are no reverts (network,
 * wallet) come back as they are.
 *
 * @param context `channelId` completes messages.
 */
export function fromRevert(error: unknown, context: { channelId?: Hex } = {}): unknown {
  const revert =
    error instanceof BaseError
      ? error.walk((cause) => cause instanceof ContractFunctionRevertedError)
      : undefined
  if (!(revert instanceof ContractFunctionRevertedError)) return error
  const { data, reason } = revert
  if (data && data.errorName !== 'Error' && data.errorName !== 'Panic') {
    return fromContractError(data.errorName, data.args ?? [], { ...context, cause: error })
  }
  return fromTokenReason(reason ?? 'no reason given', error)
}

function fromContractError(
  name: string,
  args: readonly unknown[],
  context: { channelId?: Hex; cause: unknown },
): DrainError {
  if (name === 'ChannelNotFound') return new ChannelNotFoundError(context.channelId, context.cause)
  const values = args.length > 0 ? `(${args.map(String).join(', ')})` : ''
  return new TransactionRevertedError(name, {
    message: `The contract refuses: ${name}${values}.`,
    action: advice[name],
    cause: context.cause,
  })
}

/** USDC reverts with texts (FiatTokenV2_2). */
function fromTokenReason(reason: string, cause: unknown): DrainError {
  if (/exceeds balance/.test(reason)) {
    return new InsufficientBalanceError('The wallet holds too little USDC.', 'Send USDC to it first.', cause)
  }
  if (/exceeds allowance/.test(reason)) {
    return new InsufficientAllowanceError(
      'The contract may not take that much USDC from the wallet.',
      'Approve the amount first (approveUsdc).',
      cause,
    )
  }
  const message = /blacklisted/i.test(reason)
    ? 'Circle has blocked one of the accounts of this transfer.'
    : /paused/i.test(reason)
      ? 'USDC transfers are paused at the moment.'
      : undefined
  return new TransactionRevertedError(reason, { ...(message ? { message } : {}), cause })
}

/** The ABI as viem's plain type, where its inference only costs time. */
export const looseAbi: Abi = callAbi
