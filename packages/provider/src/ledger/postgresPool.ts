import type { ConnectionOptions } from 'node:tls'
import { DrainError } from '@drain/core'
import pg from 'pg'
import { LedgerUnavailableError, LedgerUsageError } from './Errors.ts'
import { postgresSettings } from './postgresSettings.ts'

/** How to reach PostgreSQL: what `pg` takes, be it a URL or its parts; what is left out comes from `PGHOST` and so on. */
export type PostgresConnection =
  | string
  | {
      connectionString?: string | undefined
      /** A name, an address, or the folder of a Unix socket. */
      host?: string | undefined
      port?: number | undefined
      database?: string | undefined
      user?: string | undefined
      password?: string | (() => string | Promise<string>) | undefined
      ssl?: boolean | ConnectionOptions | undefined
      /** How many connections this process may have. Default: 5. */
      max?: number | undefined
    }

/** One connection for as long as one piece of work takes. Of several statements in one text the last one's result counts. */
export type Session = { query<row>(query: Query): Promise<{ rows: row[]; command: string }> }

/** A query with a `name` is prepared once for each connection. `timeoutMs`: if it may take longer than others. */
export type Query = { name?: string; text: string; values?: unknown[]; timeoutMs?: number }

export type PostgresPool = {
  /** Says who and where, without the password. */
  name: string
  /** @throws LedgerUnavailableError for whatever the server or the connection does, or doesn't do in time. */
  run<result>(work: (session: Session) => Promise<result>): Promise<result>
  close(): Promise<void>
}

/**
 * Connections to one database. Each gets its settings, then is handed to `prepare`, before anything else, and is thrown away after an error: what the
 * server makes of a session whose statement failed or went on after its time, nobody has to know.
 */
export function postgresPool(
  connection: PostgresConnection,
  options: { timeoutMs: number; prepare: (session: Session, name: string) => Promise<void> },
): PostgresPool {
  const config = typeof connection === 'string' ? { connectionString: connection } : connection
  const name = nameOf(config)
  const pool = new pg.Pool({
    max: 5,
    application_name: 'drain-ledger',
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    ...(config as pg.PoolConfig),
    connectionTimeoutMillis: options.timeoutMs,
    async onConnect(client) {
      // Without a listener a connection that is lost while nothing is asked would end the process.
      client.on('error', () => {})
      const session = toSession(client, options.timeoutMs)
      for (const setting of postgresSettings(options.timeoutMs)) await session.query(setting)
      await options.prepare(session, name)
    },
  })
  // An idle connection is gone: the next piece of work gets another.
  pool.on('error', () => {})

  return {
    name,
    async run(work) {
      let client: pg.PoolClient
      try {
        client = await pool.connect()
      } catch (error) {
        throw toUnavailable(error, name)
      }
      let isBroken = true
      try {
        const result = await work(toSession(client, options.timeoutMs))
        isBroken = false
        return result
      } catch (error) {
        throw toUnavailable(error, name)
      } finally {
        client.release(isBroken)
      }
    },
    close: () => pool.end(),
  }
}

/**
 * Whether the server has certainly undone the statement and would take it again: it was in the way of another's. Every
 * other failure leaves open what was done.
 */
export function isCollision(error: unknown): boolean {
  return ['40001', '40P01'].includes(codeOf(error) ?? '')
}

/** Whether the server doesn't let this role do it, or can't do it at all. */
export function isForbidden(error: unknown): boolean {
  return ['42501', '42883', '0A000'].includes(codeOf(error) ?? '')
}

/** A server that hangs is no better than one that is gone: after that time the connection is cut. */
function toSession(client: pg.ClientBase, usualMs: number): Session {
  return {
    async query<row>({ timeoutMs = usualMs, ...query }: Query) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`no answer within ${timeoutMs} ms`))
          cut(client)
        }, timeoutMs)
      })
      try {
        const results = await Promise.race([client.query(query), late])
        const last: pg.QueryResult | undefined = Array.isArray(results) ? results.at(-1) : results
        return { rows: (last?.rows ?? []) as row[], command: last?.command ?? '' }
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

/** `end` would wait for the server to hang up. */
function cut(client: pg.ClientBase): void {
  ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}

function toUnavailable(error: unknown, name: string): DrainError {
  if (error instanceof DrainError) return error
  return new LedgerUnavailableError(`${name} ${problemOf(codeOf(error))}`, error)
}

function problemOf(code: string | undefined): string {
  if (code === '53100') return 'has no room left on its disk'
  if (code === '57014' || code === '55P03') return 'took too long'
  if (code === '25006') return 'takes no writes: it is a standby, or set to read only'
  if (code?.startsWith('28')) return 'does not let this role in'
  if (code?.startsWith('53')) return 'has no resources left'
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? `refused (SQLSTATE ${code})` : 'cannot be reached'
}

function codeOf(error: unknown): string | undefined {
  const cause = error instanceof LedgerUnavailableError ? error.cause : error
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}

function nameOf(config: Exclude<PostgresConnection, string>): string {
  const { database, host, port } = parse(config)
  return `PostgreSQL database ${database} at ${host.startsWith('/') ? host : `${host}:${port}`}`
}

/** Lets `pg` find out what is meant. The error of a URL that can't be parsed quotes it, password and all. */
function parse(config: Exclude<PostgresConnection, string>): pg.Client {
  try {
    return new pg.Client(config as pg.ClientConfig)
  } catch {
    throw new LedgerUsageError(
      'The PostgreSQL connection cannot be read. Write postgresql://role:password@host:5432/database; special characters ' +
        'in the password are written as %40 and so on.',
    )
  }
}
