/** The two databases behind one small interface: the same SQL runs in both. */

/** Amounts are bound and read as text where they may exceed 2^53; times are milliseconds. */
export type Value = string | number | bigint | null

export type Sql = {
  /** The rows of a query, which writes nothing. Parameters are `$1`, `$2`, … */
  all<row = Record<string, string | number | null>>(text: string, ...values: Value[]): Promise<row[]>
  /** The first row, or `undefined`. */
  one<row = Record<string, string | number | null>>(
    text: string,
    ...values: Value[]
  ): Promise<row | undefined>
  /** How many rows a statement changed. */
  run(text: string, ...values: Value[]): Promise<number>
}

/**
 * SQL that both databases understand: `$1` parameters, `TEXT`, `BIGINT`, `DOUBLE PRECISION`, `ON CONFLICT … DO UPDATE`,
 * `RETURNING`. Booleans are 0 and 1, JSON is text.
 */
export type Database = Sql & {
  kind: 'sqlite' | 'postgres'
  /**
   * All or nothing. Those that write see what the ones before them wrote: SQLite runs one at a time, PostgreSQL repeats one that came in
   * another's way, so `work` must do nothing but ask `sql`.
   */
  transaction<result>(work: (sql: Sql) => Promise<result>): Promise<result>
  close(): Promise<void>
}
