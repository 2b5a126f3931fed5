/** A column with PostgreSQL's clock at the moment when its row is made, in milliseconds, as text. */
export const nowColumn =
  '(pg_catalog.floor(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000))::pg_catalog.int8::pg_catalog.text AS now'
