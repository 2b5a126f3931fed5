import { tableOf } from '@drain/keys/node'
import type { ClientChannel, ClosedChannel, Spending } from '../client/createDrainClient.ts'

/** Channels as lines of a table, the open ones first. */
export function channelsText(channels: readonly ClientChannel[]): string {
  if (channels.length === 0) return 'There are no channels.\n'
  const isClosed = ({ state }: ClientChannel) => Number(state === 'closed')
  const rows = [...channels]
    .sort((one, other) => isClosed(one) - isClosed(other))
    .map(({ channelId, origin, state, deposit, signed, charged, remaining, expiry }) => [
      ...[origin, state, deposit, charged, signed, remaining, toDate(expiry), channelId],
    ])
  const head = ['origin', 'state', 'deposit', 'charged', 'signed', 'remaining', 'expiry', 'channel']
  return tableOf(head, rows)
}

export function spendingText({ charged, signed, today, locked }: Spending): string {
  return `In all ${charged} USDC charged, ${signed} signed; ${today} promised today; ${locked} locked in channels.\n`
}

export function closedText(closed: readonly ClosedChannel[]): string {
  if (closed.length === 0) return 'There was no channel to close.\n'
  const rows = closed.map(({ channelId, finalAmount, refund, txHash }) => [
    channelId,
    finalAmount,
    refund,
    txHash,
  ])
  return tableOf(['channel', 'paid', 'refund', 'transaction'], rows)
}

/** For `JSON.stringify`: expiries as ISO dates. */
export function channelsJson(channels: readonly ClientChannel[]) {
  return channels.map(({ expiry, ...channel }) => ({ ...channel, expiry: toDate(expiry) }))
}

/** Of Unix seconds, to the second. Later than dates can be: a contract of others may allow it. */
function toDate(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1_000)
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString().replace('.000Z', 'Z')
}
