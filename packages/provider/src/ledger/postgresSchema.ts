import { LedgerUsageError } from './Errors.ts'

/** Version of the tables below. One of `upgradable` only lacks the notes; a ledger of any other is refused. */
export const schemaVersion = 3
export const upgradable = 2

/** Names the tables, each of which needs its schema in front: no session has it in its search path. */
export type Tables = ReturnType<typeof tablesOf>

/** The tables of the ledger in `schema`, quoted. @throws LedgerUsageError when that is no plain name. */
export function tablesOf(schema: string) {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new LedgerUsageError(`"${schema}" is not a plain schema name: a to z, 0 to 9, _, at most 63.`)
  const table = (name: string) => `"${schema}"."${name}"`
  return {
    schema: `"${schema}"`,
    meta: table('meta'),
    channels: table('channels'),
    outcomes: table('outcomes'),
    dayEnds: table('day_ends'),
    claims: table('claims'),
    notes: table('notes'),
  }
}

/**
 * Ids and addresses are bytes. A channel is one row: what queries look at, and the rest of its record with the leases, in
 * the form of `recordCodec.ts`. `version` names the state of the row; it is random, so that no other state has it, also
 * after a restore. `fillfactor` leaves room in the page for the next version of a row, which then needs no new entries in
 * the indexes, as long as no column that each request changes is in one.
 */
export function createTables(tables: Tables): string {
  const { meta, channels, outcomes, dayEnds, claims } = tables
  return `
    CREATE TABLE ${meta} (name text PRIMARY KEY, value text NOT NULL);

    CREATE TABLE ${channels} (
      id         bytea   PRIMARY KEY CHECK (length(id) = 32),
      number     bigint  GENERATED ALWAYS AS IDENTITY UNIQUE,
      version    bigint  NOT NULL,
      consumer   bytea   NOT NULL,
      deposit    bigint  NOT NULL,
      expiry     bigint  NOT NULL,
      status     text    NOT NULL CHECK (status IN ('open', 'closing', 'closed')),
      closed_at  bigint,
      authorized bigint  NOT NULL,
      charged    bigint  NOT NULL,
      requests   bigint  NOT NULL,
      charged_on integer,
      reserved   bigint  NOT NULL,
      claimed    bigint  NOT NULL,
      owes       boolean GENERATED ALWAYS AS (charged > claimed) STORED,
      alarm      boolean NOT NULL,
      rest       bytea   NOT NULL
    ) WITH (fillfactor = 70);
    CREATE INDEX channels_by_day ON ${channels} (charged_on, id);
    CREATE INDEX channels_owing ON ${channels} (number) WHERE owes;
    CREATE INDEX channels_by_expiry ON ${channels} (expiry, number);

    CREATE TABLE ${outcomes} (
      channel     bytea  NOT NULL,
      key         bytea  NOT NULL,
      fingerprint bytea  NOT NULL,
      response    bytea  NOT NULL,
      ends_at     bigint NOT NULL,
      PRIMARY KEY (channel, key)
    );
    CREATE INDEX outcomes_by_end ON ${outcomes} (ends_at);

    CREATE TABLE ${dayEnds} (
      channel  bytea   NOT NULL,
      day      integer NOT NULL,
      consumer bytea   NOT NULL,
      charged  bigint  NOT NULL,
      requests bigint  NOT NULL,
      PRIMARY KEY (channel, day)
    );
    CREATE INDEX day_ends_by_day ON ${dayEnds} (day, channel);

    CREATE TABLE ${claims} (
      number   bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      channel  bytea   NOT NULL,
      consumer bytea   NOT NULL,
      amount   bigint  NOT NULL,
      at       bigint  NOT NULL,
      tx_hash  bytea   NOT NULL,
      fee      numeric NOT NULL,
      gas_cost numeric NOT NULL
    );
    ${createNotes(tables)}
  `
}

/** Keys in the order of their bytes, whatever the database's language. */
export function createNotes({ notes }: Tables): string {
  return `CREATE TABLE ${notes} (key text COLLATE "C" PRIMARY KEY, text text NOT NULL);`
}
