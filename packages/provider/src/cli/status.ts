/** `drain-provider status`: what a settlement has done and what comes next, for people and for programs. */
import { Usdc } from '@drain/core'
import { formatEther } from 'viem'
import type { StatusReport } from '../settle/status.ts'

/** Seconds that blocks may wait to be read: a worker takes some, also while another one takes over. */
const unreadForAtMost = 120n

/** Whether somebody has to look: there are alarms, money may be lost, or nobody follows the chain. */
export function needsAttention(report: StatusReport): boolean {
  return report.alarms.length > 0 || report.atRisk > 0n || isNotFollowed(report)
}

function isNotFollowed({ cursor }: StatusReport): boolean {
  return (cursor?.unreadFor ?? 0n) > unreadForAtMost
}

/** As JSON: USDC and the chain's coin as decimal strings, times as ISO dates. */
export function toJson(report: StatusReport) {
  const { provider, chainId, contract, channels, transactions, next, alarms, cursor } = report
  const { earned, claimed, unclaimed, unused, claiming, atRisk, dust, charges, gasSpent, gasBalance } = report
  return {
    ...{ provider, chainId, contract, channels, currency: 'USDC' },
    earned: Usdc.format(earned),
    claimed: Usdc.format(claimed),
    unclaimed: Usdc.format(unclaimed),
    unused: Usdc.format(unused),
    claiming: Usdc.format(claiming),
    atRisk: Usdc.format(atRisk),
    dust: Usdc.format(dust),
    charges: {
      count: charges.count,
      amount: Usdc.format(charges.amount),
      gasCost: formatEther(charges.gasCost),
      pending: Usdc.format(charges.pending),
    },
    gasSpent: formatEther(gasSpent),
    gasBalance: gasBalance === undefined ? null : formatEther(gasBalance),
    needsAttention: needsAttention(report),
    transactions: transactions.map(({ amount, since, ...rest }) => ({
      ...rest,
      ...(amount !== undefined && { amount: Usdc.format(amount) }),
      since: toDate(since),
    })),
    next: next.map(({ channelId, amount, reason, expiry }) => ({
      ...{ channelId, amount: Usdc.format(amount), reason, expiry: toDate(Number(expiry)) },
    })),
    alarms: alarms.map(({ channelId = null, charge, code, message, at }) => ({
      ...{ channelId, ...(charge && { charge }), code, message, at: new Date(at).toISOString() },
    })),
    clearedAlarms: report.clearedAlarms,
    cursor: cursor
      ? {
          block: cursor.block.toString(),
          behind: cursor.behind?.toString() ?? null,
          unreadFor: cursor.unreadFor?.toString() ?? null,
        }
      : null,
  }
}

/** As lines, the most urgent last, where a terminal shows it. */
export function toText(report: StatusReport): string {
  const { provider, chainId, contract, channels, transactions, next, alarms, cursor } = report
  const { earned, claimed, unclaimed, unused, claiming, atRisk, dust, charges, gasSpent, gasBalance } = report
  const parts = [
    claiming > 0n && `${Usdc.format(claiming)} in transactions under way`,
    atRisk > 0n && `${Usdc.format(atRisk)} AT RISK`,
    dust > 0n && `${Usdc.format(dust)} dust, not worth its gas`,
  ].filter((part) => part !== false)
  const behind = cursor?.behind === undefined ? '' : `, ${cursor.behind} behind the head`
  const lost = isNotFollowed(report) ? `: NOT FOLLOWED, unread for ${cursor?.unreadFor} s` : ''
  const facts: [string, string][] = [
    ['provider', `${provider} on chain ${chainId}`],
    ['contract', contract],
    ['channels', `${channels.open} open, ${channels.closing} closing, ${channels.closed} closed`],
    ['earned', `${Usdc.format(earned)} USDC`],
    [
      'claimed',
      `${Usdc.format(claimed)} USDC${unused > 0n ? ` (${Usdc.format(unused)} more than charged: unused credit)` : ''}`,
    ],
    ['unclaimed', `${Usdc.format(unclaimed)} USDC${parts.length > 0 ? ` (${parts.join('; ')})` : ''}`],
    ...chargesLine(charges),
    [
      'gas',
      `${formatEther(gasSpent)} spent${gasBalance === undefined ? '' : `, ${formatEther(gasBalance)} left`}`,
    ],
    ['chain', cursor ? `followed up to block ${cursor.block}${behind}${lost}` : 'not followed yet'],
  ]
  return [
    ...facts.map(([name, value]) => `${name.padEnd(9)}  ${value}`),
    ...section('under way', transactions, ({ nonce, kind, channels, amount, hash, attempts, since }) => {
      const tries = attempts > 1 ? `, attempt ${attempts}` : ''
      const of = amount === undefined ? count(channels, 'channel') : `${Usdc.format(amount)} USDC`
      return `${kind} of ${of} with nonce ${nonce}${tries}, since ${toDate(since)}: ${hash}`
    }),
    ...section('next', next, ({ channelId, amount, reason, expiry }) => {
      return `${Usdc.format(amount)} USDC of ${channelId}: ${reason}, expiry ${toDate(Number(expiry))}`
    }),
    ...section('ALARMS', alarms, alarmLine),
    '',
  ].join('\n')
}

/** An alarm as a line of text. */
export function alarmLine({ channelId, charge, code, message, at }: StatusReport['alarms'][number]): string {
  const of = channelId ?? charge
  const where = of ? ` ${of}` : ''
  return `${new Date(at).toISOString()} ${code}${where}: ${message}`
}

/** Payments without a channel, where there are any. */
function* chargesLine({
  count: number,
  amount,
  pending,
}: StatusReport['charges']): Generator<[string, string]> {
  if (number === 0 && pending === 0n) return
  const rest = pending > 0n ? `, and ${Usdc.format(pending)} not final` : ''
  yield ['charges', `${Usdc.format(amount)} USDC in ${count(number, 'transfer')}${rest}`]
}

function* section<item>(
  title: string,
  items: readonly item[],
  line: (item: item) => string,
): Generator<string> {
  if (items.length === 0) return
  yield ''
  yield title
  for (const item of items) yield `  ${line(item)}`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** Of Unix seconds. Later than dates can be: a contract of others may allow it. */
function toDate(seconds: number): string {
  const date = new Date(seconds * 1_000)
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString()
}
