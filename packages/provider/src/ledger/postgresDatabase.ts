import { LedgerFileError, LedgerUnavailableError } from './Errors.ts'
import type { LedgerIdentity } from './Ledger.ts'
import { isForbidden, type Session } from './postgresPool.ts'
import { createNotes, createTables, schemaVersion, type Tables, upgradable } from './postgresSchema.ts'

/** How long what touches every row may take: freezing all channels, adding them up. */
export const longMs = 10 * 60 * 1000

const oldestServer = 130_000

const restore =
  'Restore it from a backup. Starting with another one means to take every old voucher again: claim those of this one first.'

export type DatabaseOptions = {
  tables: Tables
  identity: LedgerIdentity
  restored: 'freeze' | 'trust'
  allowFsyncOff: boolean
  log: (message: string) => void
}

/** Opens the ledger: makes it if there is none, and refuses one that is not this identity's, or not fit. */
export function postgresDatabase(options: DatabaseOptions) {
  const { tables, identity, log } = options
  let mark: string | undefined

  /**
   * For each new connection, before it is used: behind its address may be another server by now. That is often enough,
   * since a server gets another identity or timeline only while it is down or takes no writes.
   * @throws LedgerFileError | LedgerUnavailableError
   */
  async function examine(session: Session, server: string): Promise<void> {
    const name = `in schema ${tables.schema} of ${server}`
    const facts = await lookAt(session, tables)
    assertFit(facts, name, options.allowFsyncOff)
    const cluster = await clusterOf(session, facts)
    if (!facts.has_meta) {
      // Whoever restores a backup drops the old tables first: what comes next is not for us to make.
      if (mark !== undefined)
        throw new LedgerFileError(name, 'is gone', {
          action: `Stop the provider while restoring. ${restore}`,
        })
      await create(session, name, cluster)
    }
    let meta = await readMeta(session, name, options)
    if (meta.isOld) {
      await upgrade(session, name)
      meta = await readMeta(session, name, options)
    }
    mark = meta.origin === toOrigin(cluster, meta.mark) ? meta.mark : await adopt(session, name, cluster)
  }

  /** Makes the tables, unless another process has just done so. */
  async function create(session: Session, name: string, cluster: string): Promise<void> {
    await inTransaction(session, tables, async () => {
      const facts = await lookAt(session, tables)
      if (facts.has_meta) return
      if (facts.has_tables)
        throw new LedgerFileError(name, 'belongs to another program, or is half restored', {
          action: restore,
        })
      if (!facts.has_schema) await session.query({ text: `CREATE SCHEMA ${tables.schema}` })
      await session.query({ text: createTables(tables) })
      for (const values of toMeta(identity))
        await session.query({ text: `INSERT INTO ${tables.meta} VALUES ($1, $2)`, values })
      await writeOrigin(session, cluster)
      log(`Made a new ledger ${name}. It knows no voucher: if there was one before, stop now and restore it.`)
    })
  }

  /** Adds what a ledger of the version before lacks, unless another process has just done so. */
  async function upgrade(session: Session, name: string): Promise<void> {
    const isUpgraded = await inTransaction(session, tables, async () => {
      if (!(await readMeta(session, name, options)).isOld) return false
      await session.query({ text: createNotes(tables) })
      await session.query({
        text: `UPDATE ${tables.meta} SET value = $1 WHERE name = 'version'`,
        values: [String(schemaVersion)],
      })
      return true
    })
    if (isUpgraded) log(`Upgraded the ledger ${name} from schema version ${upgradable} to ${schemaVersion}.`)
  }

  /**
   * This is not the copy of the ledger that was written last, as far as anybody can tell. What was paid for since is
   * unknown to it and would be served again: so nothing is served on these channels any more.
   */
  async function adopt(session: Session, name: string, cluster: string): Promise<string> {
    return inTransaction(session, tables, async () => {
      const meta = await readMeta(session, name, options)
      if (meta.origin === toOrigin(cluster, meta.mark)) return meta.mark
      if (options.restored === 'freeze') {
        const { rows } = await session.query<{ count: string }>({ text: freeze(tables), timeoutMs: longMs })
        log(
          `RESTORED: the ledger ${name} was copied, restored from a backup, or its server replaced. Vouchers taken since may ` +
            `be missing, so its ${rows[0]?.count} open channels are frozen: they are claimed and closed, not served.`,
        )
      } else {
        log(
          `The ledger ${name} was copied or restored, or its server replaced. It is trusted, as configured.`,
        )
      }
      return writeOrigin(session, cluster)
    })
  }

  /** Remembers that this is the copy that is written now. Returns its mark. */
  async function writeOrigin(session: Session, cluster: string): Promise<string> {
    const { rows } = await session.query<{ mark: string }>({
      text: 'SELECT (txid_current() % 4294967296)::text AS mark',
    })
    const mark = rows[0]?.mark ?? ''
    await session.query({
      text: `INSERT INTO ${tables.meta} VALUES ('origin', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      values: [toOrigin(cluster, mark)],
    })
    return mark
  }

  return {
    examine,
    /**
     * The transaction that wrote the meta, which its row remembers (`xmin`): when it is another one, somebody has put
     * another copy in the place of the ledger, and nothing may be written before it was examined.
     */
    mark: () => mark,
  }
}

/**
 * Where a copy of the ledger is: cluster and timeline change when a backup is restored to a point in time and when a standby
 * takes over, the database when it is copied, the mark when the ledger is dumped and loaded.
 */
function toOrigin(cluster: string, mark: string): string {
  return `${cluster} ${mark}`
}

/** The version changes with the row, so that no process writes what it decided on the row before. */
function freeze({ channels }: Tables): string {
  const version = "('x'::text || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint"
  return `
    WITH frozen AS (
      UPDATE ${channels} SET status = 'closing', version = ${version} WHERE status = 'open' RETURNING 1
    ) SELECT count(*) FROM frozen`
}

type Facts = {
  version: number
  is_standby: boolean
  fsync: string
  database: string
  has_schema: boolean
  has_meta: boolean
  has_tables: boolean
}

async function lookAt(session: Session, tables: Tables): Promise<Facts> {
  const { rows } = await session.query<Facts>({
    text: `
      SELECT current_setting('server_version_num')::integer AS version, pg_is_in_recovery() AS is_standby,
        current_setting('fsync') AS fsync,
        (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database,
        to_regnamespace($1) IS NOT NULL AS has_schema, to_regclass($2) IS NOT NULL AS has_meta,
        EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1)) AS has_tables`,
    values: [tables.schema, tables.meta],
  })
  const [facts] = rows
  if (!facts) throw new Error('the server says nothing about itself')
  return facts
}

function assertFit(facts: Facts, name: string, allowFsyncOff: boolean): void {
  if (facts.version < oldestServer)
    throw new LedgerFileError(name, 'is on a server that is too old', {
      action: 'Use PostgreSQL 13 or later.',
    })
  if (facts.is_standby)
    throw new LedgerUnavailableError(`the server of the ledger ${name} is a standby, which takes no writes`)
  if (facts.fsync !== 'on' && !allowFsyncOff) {
    throw new LedgerFileError(name, 'is on a server with fsync = off: power loss would un-burn nonces', {
      action: 'Set fsync = on. If the storage is durable without it, pass allowFsyncOff: true.',
    })
  }
}

/** Refuses a ledger that isn't this identity's. `isOld`: it lacks what `upgrade` adds. */
async function readMeta(
  session: Session,
  name: string,
  { tables, identity }: DatabaseOptions,
): Promise<{ isOld: boolean; origin: string | undefined; mark: string }> {
  const { rows } = await session.query<{ name: string; value: string; mark: string }>({
    text: `SELECT meta.*, xmin::text AS mark FROM ${tables.meta} AS meta`,
  })
  const meta = new Map(rows.map(({ name, value }) => [name, value]))
  const isOld = meta.get('version') === String(upgradable)
  for (const [key, value] of toMeta(identity)) {
    const stored = meta.get(key)
    if (stored === value || (key === 'version' && isOld)) continue
    if (stored === undefined)
      throw new LedgerFileError(name, 'belongs to another program, or is half restored', { action: restore })
    if (key === 'version') {
      throw new LedgerFileError(name, `has schema version ${stored}, not ${value}`, {
        action: 'Use the version of @drain/provider that wrote it, or a later one.',
      })
    }
    throw new LedgerFileError(name, `belongs to ${key} ${stored}, not ${value}`, {
      action: 'Keep one schema for each provider and contract; name another one.',
    })
  }
  return { isOld, origin: meta.get('origin'), mark: rows.find(({ name }) => name === 'origin')?.mark ?? '' }
}

function toMeta({ chainId, contract, provider }: LedgerIdentity): [name: string, value: string][] {
  return [
    ['version', String(schemaVersion)],
    ['chain', String(chainId)],
    ['contract', contract.toLowerCase()],
    ['provider', provider.toLowerCase()],
  ]
}

/** Cluster, timeline and database; the database alone where a hosted server does not tell more. */
async function clusterOf(session: Session, { database }: Facts): Promise<string> {
  try {
    const { rows } = await session.query<{ cluster: string }>({
      text: `
        SELECT system_identifier::text || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS cluster
        FROM pg_control_system()`,
    })
    return `${rows[0]?.cluster} ${database}`
  } catch (error) {
    if (isForbidden(error)) return database
    throw error
  }
}

/** One process at a time; the others see all of it or nothing. What fails ends with its connection. */
async function inTransaction<result>(
  session: Session,
  { schema }: Tables,
  work: () => Promise<result>,
): Promise<result> {
  await session.query({ text: 'BEGIN; SET LOCAL statement_timeout = 0' })
  await session.query({
    text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0::bigint))',
    values: [`drain ledger ${schema}`],
    timeoutMs: longMs,
  })
  const result = await work()
  await session.query({ text: 'COMMIT' })
  return result
}
