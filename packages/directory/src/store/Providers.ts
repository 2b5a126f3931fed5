/** Providers, and the order in which they changed. */
import type { ProviderRecord, State } from '../Provider.ts'
import type { Database, Sql } from './Database.ts'

type Row = Record<string, string | number | null>

export type Providers = {
  get(id: string): Promise<ProviderRecord | undefined>
  /** The pending, approved or suspended one at a URL. */
  at(apiUrl: string): Promise<ProviderRecord | undefined>
  ofOwner(owner: string): Promise<ProviderRecord[]>
  inState(state: State, limit?: number): Promise<ProviderRecord[]>
  count(state: State): Promise<number>
  /** Those that changed after a revision, in its order. */
  changedSince(revision: number, limit: number): Promise<ProviderRecord[]>
  /** The latest revision. */
  revision(): Promise<number>
  /**
   * Adds one. Its id is `id`, or that with a number where it is taken. `undefined`: its URL is taken.
   */
  add(record: Omit<ProviderRecord, 'revision'>): Promise<ProviderRecord | undefined>
  /**
   * Changes one in a transaction: `change` gets it as it is and returns it as it shall be, or `undefined` to leave it. It may be called
   * more than once. A change that gives it the URL of another is not made. What `along` writes is written with it, or not at all.
   */
  update(
    id: string,
    change: (record: ProviderRecord) => Partial<ProviderRecord> | undefined,
    along?: (sql: Sql) => Promise<unknown>,
  ): Promise<ProviderRecord | undefined>
  /**
   * Takes approved ones whose probe is due, and puts their next one `leaseMs` off, so that no other instance takes them.
   */
  takeDue(now: number, leaseMs: number, limit: number): Promise<ProviderRecord[]>
}

const columns =
  'id, api_url, protocol, owner, chain_id, state, tier, profile, offer, health, score, score_parts, review, signed_at, created_at, next_probe_at, revision'
const living = ['pending', 'approved', 'suspended']

export function createProviders(database: Database): Providers {
  const many = async (rest: string, ...values: (string | number)[]) =>
    (await database.all<Row>(`SELECT ${columns} FROM providers ${rest}`, ...values)).map(fromRow)

  return {
    get: (id) => read(database, id),
    async at(apiUrl) {
      const [found] = await many(`WHERE api_url = $1 AND state IN (${listOf(living)})`, apiUrl)
      return found
    },
    ofOwner: (owner) => many('WHERE owner = $1 ORDER BY created_at DESC LIMIT 200', owner),
    inState: (state, limit = 200) => many('WHERE state = $1 ORDER BY created_at LIMIT $2', state, limit),
    async count(state) {
      const row = await database.one<{ count: number }>(
        'SELECT COUNT(*) AS count FROM providers WHERE state = $1',
        state,
      )
      return Number(row?.count ?? 0)
    },
    changedSince: (revision, limit) =>
      many('WHERE revision > $1 ORDER BY revision LIMIT $2', revision, limit),
    async revision() {
      const row = await database.one<{ value: number }>("SELECT value FROM numbers WHERE name = 'revision'")
      return Number(row?.value ?? 0)
    },
    add: (record) =>
      database.transaction(async (sql) => {
        if (living.includes(record.state) && (await isTaken(sql, record.apiUrl))) return undefined
        const id = await freeId(sql, record.id)
        const added = { ...record, id, revision: await nextRevision(sql) }
        const values = toValues(added)
        await sql.run(
          `INSERT INTO providers (${columns}) VALUES (${values.map((_, index) => `$${index + 1}`).join(', ')})`,
          ...values,
        )
        return added
      }),
    update: (id, change, along) =>
      database.transaction(async (sql) => {
        const record = await read(sql, id)
        const changes = record && change(record)
        if (!record || !changes) return undefined
        const wanted = { ...record, ...changes, id }
        if (living.includes(wanted.state) && (await isTaken(sql, wanted.apiUrl, id))) return undefined
        const changed = { ...wanted, revision: await nextRevision(sql) }
        const assignments = columns.split(', ').map((column, index) => `${column} = $${index + 1}`)
        await sql.run(`UPDATE providers SET ${assignments.join(', ')} WHERE id = $1`, ...toValues(changed))
        await along?.(sql)
        return changed
      }),
    takeDue: (now, leaseMs, limit) =>
      database.transaction(async (sql) => {
        const due = await sql.all<Row>(
          `SELECT ${columns} FROM providers WHERE state = 'approved' AND next_probe_at <= $1 ORDER BY next_probe_at LIMIT $2`,
          now,
          limit,
        )
        for (const { id } of due) {
          await sql.run('UPDATE providers SET next_probe_at = $1 WHERE id = $2', now + leaseMs, id as string)
        }
        return due.map(fromRow)
      }),
  }
}

async function read(sql: Sql, id: string): Promise<ProviderRecord | undefined> {
  const row = await sql.one<Row>(`SELECT ${columns} FROM providers WHERE id = $1`, id)
  return row && fromRow(row)
}

async function isTaken(sql: Sql, apiUrl: string, except = ''): Promise<boolean> {
  const row = await sql.one(
    `SELECT id FROM providers WHERE api_url = $1 AND state IN (${listOf(living)}) AND id <> $2`,
    apiUrl,
    except,
  )
  return row !== undefined
}

async function freeId(sql: Sql, wanted: string): Promise<string> {
  const isFree = async (id: string) => !(await sql.one('SELECT id FROM providers WHERE id = $1', id))
  if (await isFree(wanted)) return wanted
  const similar = await sql.one<{ count: number }>(
    'SELECT COUNT(*) AS count FROM providers WHERE id LIKE $1',
    `${wanted}-%`,
  )
  for (let number = Number(similar?.count ?? 0) + 2; ; number++) {
    if (await isFree(`${wanted}-${number}`)) return `${wanted}-${number}`
  }
}

/** Locks the number until the transaction ends, so that revisions appear in their order. */
async function nextRevision(sql: Sql): Promise<number> {
  const row = await sql.one<{ value: number }>(
    "UPDATE numbers SET value = value + 1 WHERE name = 'revision' RETURNING value",
  )
  return Number(row?.value)
}

const listOf = (words: readonly string[]) => words.map((word) => `'${word}'`).join(', ')

function toValues(record: ProviderRecord): (string | number | null)[] {
  const { profile, offer, health, scoreParts, review } = record
  return [
    ...[record.id, record.apiUrl, record.protocol, record.owner, record.chainId, record.state, record.tier],
    ...[JSON.stringify(profile), JSON.stringify(offer), JSON.stringify(health), record.score],
    ...[JSON.stringify(scoreParts), JSON.stringify(review), record.signedAt, record.createdAt],
    ...[record.nextProbeAt, record.revision],
  ]
}

function fromRow(row: Row): ProviderRecord {
  const json = (column: string) => JSON.parse(row[column] as string)
  const number = (column: string) => Number(row[column])
  return {
    id: row.id as string,
    apiUrl: row.api_url as string,
    protocol: row.protocol as ProviderRecord['protocol'],
    owner: row.owner as string,
    chainId: row.chain_id === null ? null : number('chain_id'),
    state: row.state as State,
    tier: row.tier as ProviderRecord['tier'],
    profile: json('profile'),
    offer: json('offer'),
    health: json('health'),
    score: number('score'),
    scoreParts: json('score_parts'),
    review: json('review'),
    signedAt: number('signed_at'),
    createdAt: number('created_at'),
    nextProbeAt: number('next_probe_at'),
    revision: number('revision'),
  }
}
