import { ContractError, type Deployment } from '@drain/core'
import { type Hex, parseEventLogs, type TransactionReceipt } from 'viem'

/**
 * What a transaction paid, by channel, as the contract's events say: `amount` to the provider before the `fee`, base units. Its
 * status says nothing of a batch, which skips what it can't pay.
 */
export function paidBy(
  receipt: TransactionReceipt,
  deployment: Deployment.Deployment,
): Map<Hex, { amount: bigint; fee: bigint }> {
  const paid = new Map<Hex, { amount: bigint; fee: bigint }>()
  const logs = parseEventLogs({
    abi: ContractError.callAbi,
    eventName: ['ChannelClaimed', 'FeePaid'],
    logs: receipt.logs,
  })
  for (const { address, eventName, args } of logs) {
    if (address.toLowerCase() !== deployment.contract.toLowerCase()) continue
    const { amount, fee } = paid.get(args.channelId) ?? { amount: 0n, fee: 0n }
    paid.set(
      args.channelId,
      eventName === 'FeePaid' ? { amount, fee: fee + args.amount } : { amount: amount + args.amount, fee },
    )
  }
  return paid
}

/** Whether a transaction closed a channel. */
export function hasClosed(
  receipt: TransactionReceipt,
  deployment: Deployment.Deployment,
  channelId: Hex,
): boolean {
  return parseEventLogs({ abi: ContractError.callAbi, eventName: 'ChannelClosed', logs: receipt.logs }).some(
    ({ address, args }) =>
      address.toLowerCase() === deployment.contract.toLowerCase() && args.channelId === channelId,
  )
}
