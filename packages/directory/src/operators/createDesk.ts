/** What operators see and decide. */
import { randomUUID } from 'node:crypto'
import type { ProviderRecord, State } from '../Provider.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import type { Sql } from '../store/Database.ts'
import type { Decision, DeskFeedback, DeskOverview } from '../web/DeskParts.ts'

export type Desk = {
  overview(): Promise<DeskOverview>
  /** What was done, in a sentence. @throws {Problem} 404, 409 */
  decide(operator: string, decision: Decision): Promise<string>
}

type Step = { from: readonly State[]; to: State; done: string }

const steps: Record<'approve' | 'reject' | 'suspend' | 'reinstate', Step> = {
  approve: { from: ['pending'], to: 'approved', done: 'is approved' },
  reject: { from: ['pending'], to: 'rejected', done: 'is rejected' },
  suspend: { from: ['approved', 'pending'], to: 'suspended', done: 'is suspended' },
  reinstate: { from: ['suspended'], to: 'approved', done: 'is listed again' },
}

const mostShown = 100

export function createDesk(rooms: Rooms): Desk {
  const { providers, snapshot, database, now } = rooms

  async function decideProvider(
    operator: string,
    action: keyof typeof steps,
    { id, note, seen }: Decision,
  ): Promise<string> {
    const { from, to, done } = steps[action]
    let found: ProviderRecord | undefined
    const isAsSeen = ({ signedAt }: ProviderRecord) => seen === undefined || signedAt === seen
    const changed = await providers.update(
      id,
      (record) => {
        found = record
        if (!from.includes(record.state) || !isAsSeen(record)) return undefined
        const isBack = to === 'approved'
        return { state: to, review: { ...record.review, note }, ...(isBack && { nextProbeAt: now() }) }
      },
      (sql) => writeDown(sql, { operator, action, subject: id, reason: note }),
    )
    if (!found) throw notFound(`provider ${JSON.stringify(id)}`)
    if (!changed && !isAsSeen(found)) {
      throw new Problem(409, 'changed_meanwhile', `${id} was changed by its owner in the meantime.`, {
        action: 'Look at it again, then decide.',
      })
    }
    if (!changed) {
      throw new Problem(409, 'not_possible', `${id} is ${found.state} and stays so.`, {
        action: `To ${action} is for those that are ${from.join(' or ')}.`,
      })
    }
    await snapshot.refresh()
    return `${id} ${done}.`
  }

  async function decideFeedback(
    operator: string,
    action: 'hide' | 'show',
    { id, note }: Decision,
  ): Promise<string> {
    const [provider = '', consumer = '', channel = ''] = id.split('/')
    const isDone = await database.transaction(async (sql) => {
      const count = await sql.run(
        'UPDATE feedback SET hidden = $1 WHERE provider_id = $2 AND consumer = $3 AND channel_id = $4',
        ...[action === 'hide' ? 1 : 0, provider, consumer, channel],
      )
      if (count === 0) return false
      await sql.run('INSERT INTO rescores (provider_id) VALUES ($1) ON CONFLICT DO NOTHING', provider)
      await writeDown(sql, { operator, action, subject: id, reason: note })
      return true
    })
    if (!isDone) throw notFound('such feedback')
    return action === 'hide' ? 'It counts no more.' : 'It counts again.'
  }

  function writeDown(sql: Sql, entry: { operator: string; action: string; subject: string; reason: string }) {
    const { operator, action, subject, reason } = entry
    const text =
      'INSERT INTO actions (id, at, operator, action, subject, reason) VALUES ($1, $2, $3, $4, $5, $6)'
    return sql.run(text, randomUUID(), now(), operator, action, subject, reason)
  }

  return {
    decide(operator, decision) {
      const { action } = decision
      if (action === 'hide' || action === 'show') return decideFeedback(operator, action, decision)
      if (!Object.hasOwn(steps, action)) throw invalid(`There is no decision ${JSON.stringify(action)}.`)
      return decideProvider(operator, action, decision)
    },
    async overview() {
      const [pending, approved, suspended, all, actions, feedback] = await Promise.all([
        providers.inState('pending', mostShown),
        Promise.all([providers.count('approved'), providers.count('pending')]),
        providers.inState('suspended', mostShown),
        database.one<{ count: number }>('SELECT COUNT(*) AS count FROM providers'),
        database.all<DeskOverview['actions'][number]>(
          'SELECT at, operator, action, subject, reason FROM actions ORDER BY at DESC LIMIT $1',
          mostShown,
        ),
        database.all<FeedbackRow>(
          `SELECT provider_id, consumer, channel_id, received_at, outcome, reason, hidden FROM feedback
           ORDER BY received_at DESC LIMIT $1`,
          mostShown,
        ),
      ])
      const inTrouble = [...snapshot.all()].filter(
        ({ state, health }) =>
          state === 'approved' && (health.status === 'offline' || health.status === 'degraded'),
      )
      return {
        pending,
        counts: {
          all: Number(all?.count ?? 0),
          approved: approved[0],
          pending: approved[1],
          ...statusCounts(snapshot),
        },
        troubled: [...inTrouble, ...suspended].slice(0, mostShown),
        feedback: feedback.map(toFeedback),
        actions: actions.map((action) => ({ ...action, at: Number(action.at) })),
      }
    },
  }
}

function statusCounts(snapshot: Rooms['snapshot']) {
  const counts = { online: 0, degraded: 0, offline: 0 }
  for (const { state, health } of snapshot.all()) {
    if (state === 'approved' && health.status !== 'unknown') counts[health.status]++
  }
  return counts
}

type FeedbackRow = {
  provider_id: string
  consumer: string
  channel_id: string
  received_at: number
  outcome: 'success' | 'failure'
  reason: string
  hidden: number
}

function toFeedback(row: FeedbackRow): DeskFeedback {
  const {
    provider_id: providerId,
    consumer,
    channel_id: channel,
    received_at: at,
    outcome,
    reason,
    hidden,
  } = row
  const id = `${providerId}/${consumer}/${channel}`
  return { id, providerId, at: Number(at), outcome, reason, consumer, hidden: Number(hidden) === 1 }
}
