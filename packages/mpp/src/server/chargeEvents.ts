/** Whether an authorization has paid, as the token's events tell. */
import {
  type Address,
  type Hex,
  isAddressEqual,
  type Log,
  parseEventLogs,
  type TransactionReceipt,
} from 'viem'
import type { Authorization } from '../authorization.ts'
import { tokenAbi } from './chargeToken.ts'

/**
 * Whether a transaction has used the authorization and moved its whole value by that. In one transaction the same payer may use
 * several: the transfer that counts is the one that follows the use at once, as the token emits them in one call.
 */
export function hasPaid(
  { status, logs: all }: Pick<TransactionReceipt, 'status' | 'logs'>,
  { from, to, value, nonce }: Authorization,
  token: Address,
): boolean {
  if (status !== 'success') return false
  const logs = parseEventLogs({ abi: tokenAbi, logs: all.filter((log) => isOf(log, token)) })
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
  return [token, from, nonce].join('/').toLowerCase() as Lowercase<`${Hex}/${Hex}/${Hex}`>
}
