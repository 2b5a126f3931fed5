/** EIP-3009 authorizations, and whether one has paid, as the token's events tell. */
import {
  type Address,
  type Hex,
  isAddressEqual,
  type Log,
  parseAbi,
  parseEventLogs,
  type TransactionReceipt,
} from 'viem'

/** A transfer that its payer has allowed. Amounts in base units, times in Unix seconds. */
export type Authorization = {
  from: Address
  to: Address
  value: bigint
  /** Valid after, not at it. */
  validAfter: bigint
  /** Valid before, not at it. */
  validBefore: bigint
  nonce: Hex
}

export const authorizationAbi = parseAbi([
  'function authorizationState(address authorizer, bytes32 nonce) view returns (bool)',
  'function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)',
  'event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)',
  'event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce)',
  'event Transfer(address indexed from, address indexed to, uint256 value)',
])

/**
 * Whether a transaction has used the authorization and moved its whole value by that. In one transaction the same payer may use
 * several: the transfer that counts is the one that follows the use at once, as the token emits them in one call.
 */
export function hasPaid(
  { status, logs: all }: Pick<TransactionReceipt, 'status' | 'logs'>,
  { from, to, value, nonce }: Pick<Authorization, 'from' | 'to' | 'value' | 'nonce'>,
  token: Address,
): boolean {
  if (status !== 'success') return false
  const logs = parseEventLogs({ abi: authorizationAbi, logs: all.filter((log) => isOf(log, token)) })
  return logs.some(
    (used) =>
      used.eventName === 'AuthorizationUsed' &&
      isAddressEqual(used.args.authorizer, from) &&
      used.args.nonce === nonce &&
      logs.some(
        (moved) =>
          moved.eventName === 'Transfer' &&
          moved.logIndex === used.logIndex + 1 &&
          isAddressEqual(moved.args.from, from) &&
          isAddressEqual(moved.args.to, to) &&
          moved.args.value === value,
      ),
  )
}

const isOf = ({ address }: Log, token: Address) => address.toLowerCase() === token.toLowerCase()

/** Names an authorization: each token takes a payer's nonce once. */
export function nameOf(token: Address, { from, nonce }: Pick<Authorization, 'from' | 'nonce'>): string {
  return [token, from, nonce].join('/').toLowerCase()
}
