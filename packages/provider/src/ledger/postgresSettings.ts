import type { Query } from './postgresPool.ts'

/**
 * What a session must not leave to the configuration of the server, the database or the role: run before anything else on
 * each new connection.
 */
export function postgresSettings(timeoutMs: number): Query[] {
  const settings = {
    // A commit is told once it is on disk.
    synchronous_commit: 'on',
    default_transaction_isolation: 'read committed',
    default_transaction_deferrable: 'off',
    // Rows that a policy hides would pass for channels that nobody knows: an error is better.
    row_security: 'off',
    // How values are written and read.
    standard_conforming_strings: 'on',
    client_encoding: 'UTF8',
    bytea_output: 'hex',
    extra_float_digits: '1',
    DateStyle: 'ISO, YMD',
    IntervalStyle: 'postgres',
    TimeZone: 'UTC',
    statement_timeout: String(timeoutMs),
    // Waiting for a lock counts as part of the statement.
    lock_timeout: '0',
    transaction_timeout: '0',
    idle_session_timeout: '0',
    // A process that stops between locking a channel and writing it holds up the others for this long.
    idle_in_transaction_session_timeout: String(Math.ceil(timeoutMs / 2)),
    // Plans are kept, and made while the ledger may still be small: none may read a whole table, however small that is.
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    enable_hashjoin: 'off',
    enable_mergejoin: 'off',
    enable_material: 'off',
    enable_indexscan: 'on',
    enable_nestloop: 'on',
    jit: 'off',
  }
  return [
    // First of all, and by itself: where others may make functions, such as in `public` before PostgreSQL 15, an overload
    // that fits better than the server's own would run with the rights of the ledger.
    { text: 'SET search_path = pg_catalog, pg_temp' },
    {
      // Those that an older server doesn't have, it doesn't need.
      text: `
        SELECT pg_catalog.set_config(s.name, s.value, false)
        FROM unnest($1::text[], $2::text[]) AS s (name, value)
        WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL`,
      values: [Object.keys(settings), Object.values(settings)],
    },
  ]
}
