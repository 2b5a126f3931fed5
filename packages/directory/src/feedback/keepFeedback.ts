/** Reports, as the database keeps them. */
import { Usdc } from '@drain/core'
import { Problem } from '../problem.ts'
import type { Database, Sql } from '../store/Database.ts'

/** Addresses and ids are lower case, times Unix milliseconds. */
export type Report = {
  providerId: string
  /** `none` where it was not paid from a channel. */
  channelId: string
  consumer: string
  chainId: number
  outcome: 'success' | 'failure'
  protocol: 'drain' | 'mpp'
  reason: string
  issuedAt: number
}

/** Whose a report's channel is, as the chain shows: base units of what it has paid, 0 where it isn't known. */
export type Kept = { isShown: boolean; paid: bigint }

export const noChannel = 'none'

/** Of what the chain doesn't show: of one consumer with channels, of the same without, and of all. The oldest make room for new ones. */
const mostOfConsumer = 20
const mostUnshown = 20_000

/**
 * Keeps a report in the place of its consumer's earlier one about the same channel, whichever provider that was about; without a
 * channel, in the place of the earlier one about the same provider.
 *
 * @param payee Who the provider is, on chain; `undefined` where that isn't proven.
 * @throws {Problem} 409 for one that isn't later than the earlier one, or about a channel of others, 429 for too many.
 */
export async function keepFeedback(
  database: Database,
  report: Report,
  { payee, now }: { payee: string | undefined; now: number },
): Promise<Kept> {
  const { providerId, channelId, consumer, chainId } = report
  return database.transaction(async (sql) => {
    const channel = channelId === noChannel ? undefined : await readChannel(sql, report)
    if (channel && (channel.consumer !== consumer || channel.provider !== payee)) throw otherChannel()
    const earlier = await sql.all<{ provider_id: string; issued_at: number; hidden: number }>(
      `SELECT provider_id, issued_at, hidden FROM feedback WHERE consumer = $1 AND channel_id = $2
         AND ($2 <> '${noChannel}' OR provider_id = $3)`,
      ...[consumer, channelId, providerId],
    )
    if (earlier.some(({ issued_at }) => issued_at >= report.issuedAt)) throw notLater()
    if (!channel && earlier.length === 0) await makeRoom(sql, report)
    for (const { provider_id } of earlier) {
      await sql.run(
        'DELETE FROM feedback WHERE provider_id = $1 AND consumer = $2 AND channel_id = $3',
        ...[provider_id, consumer, channelId],
      )
    }
    // What an operator took out doesn't come back by being said again.
    const hidden = Math.max(0, ...earlier.map((one) => one.hidden))
    await sql.run(
      `INSERT INTO feedback (provider_id, channel_id, consumer, chain_id, outcome, protocol, reason, issued_at, received_at,
         hidden, shown) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      ...[providerId, channelId, consumer, chainId, report.outcome, report.protocol, report.reason],
      ...[report.issuedAt, now, hidden, channel ? 1 : 0],
    )
    if (channel) {
      for (const id of [providerId, ...earlier.map(({ provider_id }) => provider_id)])
        await sql.run('INSERT INTO rescores (provider_id) VALUES ($1) ON CONFLICT DO NOTHING', id)
    }
    return { isShown: channel !== undefined, paid: hidden ? 0n : BigInt(channel?.paid ?? 0) }
  })
}

/** As far as it is known whose it is. */
async function readChannel(
  sql: Sql,
  { channelId, chainId }: Report,
): Promise<Record<'consumer' | 'provider' | 'paid', string> | undefined> {
  return sql.one(
    `SELECT consumer, provider, CAST(paid AS TEXT) AS paid FROM payments
     WHERE channel_id = $1 AND chain_id = $2 AND consumer <> ''`,
    ...[channelId, chainId],
  )
}

/** @throws {Problem} 429 */
async function makeRoom(sql: Sql, { consumer, channelId }: Report): Promise<void> {
  const alike = `consumer = $1 AND shown = 0 AND channel_id ${channelId === noChannel ? '=' : '<>'} '${noChannel}'`
  const own = await sql.one<{ count: number; oldest: number }>(
    `SELECT COUNT(*) AS count, MIN(received_at) AS oldest FROM feedback WHERE ${alike}`,
    consumer,
  )
  const isMany = Number(own?.count) >= mostOfConsumer
  // Those without a channel will never be shown by the chain: waiting would not help.
  if (own && isMany && channelId === noChannel)
    await sql.run(`DELETE FROM feedback WHERE ${alike} AND received_at = $2`, consumer, own.oldest)
  else if (isMany) {
    throw new Problem(
      429,
      'too_many_reports',
      `There are ${mostOfConsumer} reports of this wallet that the chain does not show yet.`,
      {
        action: 'Report on channels that the chain shows, or wait for it.',
      },
    )
  }
  const all = await sql.one<{ count: number }>('SELECT COUNT(*) AS count FROM feedback WHERE shown = 0')
  if (Number(all?.count) < mostUnshown) return
  await sql.run(
    'DELETE FROM feedback WHERE shown = 0 AND received_at = (SELECT MIN(received_at) FROM feedback WHERE shown = 0)',
  )
}

const otherChannel = () =>
  new Problem(409, 'other_channel', 'The chain shows this channel as one of others.', {
    action: 'Name the provider that it pays, and sign with the wallet that opened it.',
  })

const notLater = () =>
  new Problem(409, 'report_used', 'A report that was signed as late or later is there already.', {
    action: 'Sign again with the time of now.',
  })

/** The latest first, at most 50. */
export type ShownFeedback = {
  /** Unix milliseconds. */
  at: number
  outcome: 'success' | 'failure'
  protocol: 'drain' | 'mpp'
  reason: string
  /** Shortened. */
  consumer: string
  /** Decimal USDC that the chain shows as paid from its channel; `null` where it doesn't count. */
  paid: string | null
}

export async function readFeedback(
  sql: Sql,
  providerId: string,
  payee: string | undefined,
): Promise<ShownFeedback[]> {
  const rows = await sql.all<Record<string, string | number | null>>(
    `SELECT f.received_at, f.outcome, f.protocol, f.reason, f.consumer, CAST(p.paid AS TEXT) AS paid
     FROM feedback f LEFT JOIN payments p
       ON p.channel_id = f.channel_id AND p.chain_id = f.chain_id AND p.consumer = f.consumer AND p.provider = $2
     WHERE f.provider_id = $1 AND f.hidden = 0 ORDER BY f.received_at DESC LIMIT 50`,
    ...[providerId, payee ?? ''],
  )
  return rows.map((row) => {
    const consumer = row.consumer as string
    const paid = BigInt(row.paid ?? 0)
    return {
      at: Number(row.received_at),
      outcome: row.outcome as ShownFeedback['outcome'],
      protocol: row.protocol as ShownFeedback['protocol'],
      reason: row.reason as string,
      consumer: `${consumer.slice(0, 6)}…${consumer.slice(-4)}`,
      paid: paid > 0n ? Usdc.format(paid) : null,
    }
  })
}
