import { type Deployment, drainChannelAbi, TransactionRevertedError } from '@drain/core'
import { type Hex, isAddressEqual, parseEventLogs } from 'viem'
import type { Receipt } from './transact.ts'

/**
 * What a transaction refunded to the consumer when it closed a channel, in base units.
 *
 * @throws {TransactionRevertedError} When it reverted or didn't close this channel of this contract.
 */
export function refundOf(receipt: Receipt, deployment: Deployment.Deployment, channelId: Hex): bigint {
  const events = parseEventLogs({ abi: drainChannelAbi, eventName: 'ChannelClosed', logs: receipt.logs })
  const event = events.find(
    ({ address, args }) =>
      isAddressEqual(address, deployment.contract) &&
      args.channelId.toLowerCase() === channelId.toLowerCase(),
  )
  if (event && receipt.status === 'success') return event.args.refund
  throw new TransactionRevertedError('not closed', {
    message: `The transaction ${receipt.transactionHash} did not close channel ${channelId}.`,
    transactionHash: receipt.transactionHash,
  })
}
