/** What events mean for the table of payments: who has paid whom, and how much. In one transaction with the cursor. */

import { touchReportedBy } from '../score/rescore.ts'
import type { Sql } from '../store/Database.ts'
import type { ChannelEvent } from './readEvents.ts'

/** As much as the column holds; USDC has never had a millionth of it. */
const most = 2n ** 62n

type Contract = { chainId: number; contract: string }

/**
 * Books events that can't go away any more, each once.
 *
 * @param consumers Of channels that were opened before the chain was followed, as far as the contract still told.
 */
export async function bookPayments(
  sql: Sql,
  { chainId, contract }: Contract,
  events: readonly ChannelEvent[],
  consumers: ReadonlyMap<string, string>,
): Promise<void> {
  const at = (channelId: string) => [chainId, contract, channelId] as const
  const payers = new Set<string>()

  for (const event of events) {
    const { channelId, kind } = event
    const block = Number(event.block)
    if (kind === 'opened') {
      const { consumer, provider, deposit } = event
      await sql.run(
        `INSERT INTO payments (chain_id, contract, channel_id, consumer, provider, deposit, paid, block)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT DO NOTHING`,
        ...[...at(channelId), consumer, provider, bounded(deposit), block],
      )
      await showFeedback(sql, chainId, channelId, consumer)
    } else if (kind === 'claimed') {
      const consumer = consumers.get(channelId) ?? ''
      await sql.run(
        `INSERT INTO payments (chain_id, contract, channel_id, consumer, provider, deposit, paid, block)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7)
         ON CONFLICT (chain_id, contract, channel_id) DO UPDATE SET paid = payments.paid + excluded.paid,
           block = excluded.block`,
        ...[...at(channelId), consumer, event.provider, bounded(event.amount), block],
      )
      if (consumer) await showFeedback(sql, chainId, channelId, consumer)
      payers.add(await consumerOf(sql, at(channelId)))
    } else {
      // The older contracts' closes by agreement may pay without saying how much: the refund does.
      await sql.run(
        `UPDATE payments SET consumer = $4, block = $6,
           paid = CASE WHEN deposit - $5 > paid THEN deposit - $5 ELSE paid END
         WHERE chain_id = $1 AND contract = $2 AND channel_id = $3`,
        ...[...at(channelId), event.consumer, bounded(event.refund), block],
      )
      await showFeedback(sql, chainId, channelId, event.consumer)
      payers.add(event.consumer)
    }
  }
  payers.delete('')
  await touchReportedBy(sql, payers)
}

const bounded = (amount: bigint) => (amount < most ? amount : most)

async function consumerOf(sql: Sql, key: readonly [number, string, string]): Promise<string> {
  const row = await sql.one<{ consumer: string }>(
    'SELECT consumer FROM payments WHERE chain_id = $1 AND contract = $2 AND channel_id = $3',
    ...key,
  )
  return row?.consumer ?? ''
}

/** Reports that came before the chain showed the channel: its consumer's stay, those of others were made up. */
async function showFeedback(sql: Sql, chainId: number, channelId: string, consumer: string): Promise<void> {
  await sql.run(
    'UPDATE feedback SET shown = 1 WHERE channel_id = $1 AND chain_id = $2 AND consumer = $3 AND shown = 0',
    ...[channelId, chainId, consumer],
  )
  await sql.run(
    'DELETE FROM feedback WHERE channel_id = $1 AND chain_id = $2 AND consumer <> $3 AND shown = 0',
    ...[channelId, chainId, consumer],
  )
}
