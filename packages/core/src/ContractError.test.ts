import {
  ContractFunctionExecutionError,
  ContractFunctionRevertedError,
  encodeErrorResult,
  type Hex,
  HttpRequestError,
  parseAbi,
} from 'viem'
import { expect, test } from 'vitest'
import * as ContractError from './ContractError.ts'
import {
  ChannelNotFoundError,
  InsufficientAllowanceError,
  InsufficientBalanceError,
  TransactionRevertedError,
} from './Errors.ts'

const channelId = `0x${'ab'.repeat(32)}` as Hex

/** What viem throws when a call reverts with `data`. */
function revert(data: Hex): ContractFunctionExecutionError {
  const abi = ContractError.looseAbi
  const cause = new ContractFunctionRevertedError({ abi, data, functionName: 'close' })
  return new ContractFunctionExecutionError(cause, { abi, functionName: 'close', args: [channelId] })
}
const custom = (errorName: string, args: readonly unknown[] = []) =>
  revert(encodeErrorResult({ abi: ContractError.looseAbi, errorName, args }))
const text = (reason: string) =>
  revert(encodeErrorResult({ abi: parseAbi(['error Error(string)']), errorName: 'Error', args: [reason] }))

const someone = '0x00000000000000000000000000000000000000AA'

test.each([
  ['NothingToClaim', [300_000n, 500_000n], /0\.300000 USDC is not above the 0\.500000 USDC/],
  [
    'ExceedsDeposit',
    [2_000_000n, 1_000_000n],
    /2\.000000 USDC is more than the channel's deposit of 1\.000000 USDC/,
  ],
  ['ExceedsVoucher', [2n, 1n], /0\.000002 USDC is more than the voucher's 0\.000001 USDC/],
  ['BelowClaimed', [1n, 2n], /0\.000001 USDC is below the 0\.000002 USDC/],
  ['NotExpired', [1_000n, 8_200n], /expires in 2h/],
  ['InvalidSignature', [someone, someone], new RegExp(`not the one of ${someone}`)],
  ['NotProvider', [someone, someone], /Only the channel’s provider/],
  ['InvalidProvider', [someone], /cannot be the provider/],
  ['InvalidSigner', [someone], /cannot be the session key/],
  ['AuthorizationUnsupported', [someone], /takes no EIP-3009 authorizations/],
  ['InvalidDeposit', [0n, 2n ** 64n - 1n], /0\.000000 USDC is not possible/],
  ['InvalidAmount', [], /above what was already claimed/],
  ['NotExpired', [], /not expired yet/],
])('explains %s (%#)', (name, args, message) => {
  const withValues = custom.bind(null, name)
  const error = ContractError.fromRevert(
    args.length > 0 ? withValues(args) : older(name),
  ) as TransactionRevertedError
  expect(error).toBeInstanceOf(TransactionRevertedError)
  expect(error.reason).toBe(name)
  expect(error.shortMessage).toMatch(message)
})

/** The same name without values, as the older contracts revert. */
function older(name: string) {
  return revert(encodeErrorResult({ abi: [{ type: 'error', name, inputs: [] }], errorName: name }))
}

test.each([
  ['the current', () => custom('ChannelNotFound', [channelId])],
  ['the older', () => older('ChannelNotFound')],
])('a channel that %s contract does not know has an error of its own', (_, make) => {
  const error = ContractError.fromRevert(make(), { channelId })
  expect(error).toBeInstanceOf(ChannelNotFoundError)
  expect((error as Error).message).toContain(channelId)
})

test.each([
  ['ERC20: transfer amount exceeds balance', InsufficientBalanceError, /too little USDC/],
  ['ERC20: transfer amount exceeds allowance', InsufficientAllowanceError, /Approve/],
  ['Blacklistable: account is blacklisted', TransactionRevertedError, /Circle has blocked/],
  ['Pausable: paused', TransactionRevertedError, /paused/],
  ['something else', TransactionRevertedError, /reverts: something else/],
])('USDC says %j', (reason, type, message) => {
  const error = ContractError.fromRevert(text(reason))
  expect(error).toBeInstanceOf(type)
  expect((error as Error).message).toMatch(message)
})

test('what is no revert comes back as it is', () => {
  const lost = new HttpRequestError({ url: 'http://node.test' })
  expect(ContractError.fromRevert(lost)).toBe(lost)
  expect(ContractError.fromRevert('x')).toBe('x')
})
