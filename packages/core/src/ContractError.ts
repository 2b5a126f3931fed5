/** Contract reverts, as the errors a caller handles. */
import { type Abi, BaseError, ContractFunctionRevertedError, type Hex, parseAbi } from 'viem'
import { drainChannelAbi } from './abi.generated.ts'
import * as Duration from './Duration.ts'
import {
  ChannelNotFoundError,
  type DrainError,
  InsufficientAllowanceError,
  InsufficientBalanceError,
  TransactionRevertedError,
} from './Errors.ts'
import * as Usdc from './Usdc.ts'

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

/** What a revert means and what to do about it, by the contract's error name. The older contracts send no values. */
const explanations: Record<string, (values: readonly unknown[]) => { message: string; action?: string }> = {
  NotProvider: () => ({
    message: 'Only the channel’s provider can do this.',
    action: 'Use the account that the channel pays.',
  }),
  NotConsumer: () => ({
    message: 'Only the channel’s consumer can do this.',
    action: 'Use the account that opened the channel.',
  }),
  NotExpired: ([now, expiry]) => ({
    message:
      typeof now === 'bigint' && typeof expiry === 'bigint'
        ? `The channel expires in ${Duration.format(expiry - now)}.`
        : 'The channel has not expired yet.',
    action: 'Wait for its expiry, or ask the provider to close it.',
  }),
  InvalidSignature: ([, expected]) => ({
    message: `The signature is not the one of ${expected ?? 'the other party of this channel'}.`,
    action: 'Check chain, contract and signer.',
  }),
  InvalidProvider: ([provider]) => ({
    message: `${provider} cannot be the provider of a channel.`,
    action: 'Use an address other than zero, your own and the contract’s.',
  }),
  InvalidSigner: ([signer]) => ({
    message: `${signer} is the provider and cannot be the session key too.`,
    action: 'Use a key of the consumer’s own.',
  }),
  AuthorizationUnsupported: () => ({
    message: 'The token of this contract takes no EIP-3009 authorizations.',
    action: 'Approve the deposit and use open.',
  }),
  InvalidDeposit: ([amount, max]) => ({
    message: `A deposit of ${money(amount)} is not possible.`,
    action: `Use more than zero and at most ${money(max)}.`,
  }),
  InvalidDuration: () => ({
    message: 'The duration is not possible.',
    action: 'Use at least one second and at most 365 days.',
  }),
  NothingToClaim: ([amount, claimed]) => ({
    message: `The voucher's ${money(amount)} is not above the ${money(claimed)} claimed already.`,
    action: 'Claim with a higher voucher.',
  }),
  ExceedsDeposit: ([amount, deposit]) => ({
    message: `${money(amount)} is more than the channel's deposit of ${money(deposit)}.`,
  }),
  ExceedsVoucher: ([payAmount, amount]) => ({
    message: `${money(payAmount)} is more than the voucher's ${money(amount)}.`,
  }),
  BelowClaimed: ([finalAmount, claimed]) => ({
    message: `The final amount ${money(finalAmount)} is below the ${money(claimed)} claimed already.`,
  }),
  InvalidAmount: () => ({
    message: 'The amount must be above what was already claimed and at most the deposit.',
  }),
}

function money(value: unknown): string {
  return typeof value === 'bigint' ? Usdc.display(value) : 'the amount'
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
  const explanation = explanations[name]?.(args)
  return new TransactionRevertedError(name, {
    message: explanation?.message ?? `The contract refuses: ${name}.`,
    action: explanation?.action,
    details: args.length > 0 ? `${name}(${args.map(String).join(', ')})` : name,
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
