/** What is kept, and in which tables. Times are Unix milliseconds, amounts base units, addresses and ids lower case. */
import type { Database } from './Database.ts'

/** Each is run once, in order; never change one that was published: add another. */
const migrations: readonly string[] = [
  `CREATE TABLE providers (
    id TEXT PRIMARY KEY,
    -- Without the trailing slash. One living listing for each, whoever's it is.
    api_url TEXT NOT NULL,
    protocol TEXT NOT NULL,
    -- Who may change it: an address, or the hash of a token for services without a wallet.
    owner TEXT NOT NULL,
    chain_id BIGINT,
    state TEXT NOT NULL,
    tier TEXT NOT NULL,
    -- JSON: what its owner says.
    profile TEXT NOT NULL,
    -- JSON: what its server says.
    offer TEXT NOT NULL,
    -- JSON: how it answers.
    health TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    -- JSON: what the score is made of.
    score_parts TEXT NOT NULL,
    -- JSON: the latest connection test, and what the operator wrote.
    review TEXT NOT NULL,
    -- Of the latest signed change, so that none is replayed.
    signed_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    next_probe_at BIGINT NOT NULL,
    -- Grows with every change to any provider.
    revision BIGINT NOT NULL
  );
  CREATE UNIQUE INDEX providers_by_url ON providers (api_url) WHERE state IN ('pending', 'approved', 'suspended');
  CREATE INDEX providers_by_revision ON providers (revision);
  CREATE INDEX providers_by_probe ON providers (next_probe_at) WHERE state = 'approved';
  CREATE INDEX providers_by_owner ON providers (owner);
  CREATE TABLE numbers (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
  INSERT INTO numbers VALUES ('revision', 0);
  CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);

  CREATE TABLE probe_hours (
    provider_id TEXT NOT NULL,
    prober TEXT NOT NULL,
    -- Milliseconds at its beginning.
    hour BIGINT NOT NULL,
    probes BIGINT NOT NULL,
    reached BIGINT NOT NULL,
    correct BIGINT NOT NULL,
    -- JSON: milliseconds of those that were answered.
    latencies TEXT NOT NULL,
    -- A letter for each of the latest 60, oldest first: c correct, r reached, n not reached.
    outcomes TEXT NOT NULL,
    -- Of the prober's latest report, so that none counts twice.
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (provider_id, prober, hour)
  );
  CREATE INDEX probe_hours_by_hour ON probe_hours (hour);
  CREATE TABLE status_changes (
    provider_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (provider_id, at)
  );

  CREATE TABLE payments (
    chain_id BIGINT NOT NULL,
    contract TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    provider TEXT NOT NULL,
    -- Base units; 0 where the channel was opened before the chain was followed.
    deposit BIGINT NOT NULL,
    -- Base units that the chain paid out to the provider.
    paid BIGINT NOT NULL,
    block BIGINT NOT NULL,
    PRIMARY KEY (chain_id, contract, channel_id)
  );
  CREATE INDEX payments_by_provider ON payments (provider);
  CREATE INDEX payments_by_consumer ON payments (consumer);
  CREATE INDEX payments_by_channel ON payments (channel_id);
  CREATE TABLE feedback (
    provider_id TEXT NOT NULL,
    -- 'none' where it was not paid from a channel: such a report is shown and not counted.
    channel_id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    chain_id BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    protocol TEXT NOT NULL,
    reason TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- 1 where an operator took it out.
    hidden BIGINT NOT NULL,
    -- 1 once the chain shows that the channel is its consumer's; the others are few at any time, and not kept for long.
    shown BIGINT NOT NULL,
    PRIMARY KEY (provider_id, consumer, channel_id)
  );
  CREATE INDEX feedback_by_provider ON feedback (provider_id, received_at);
  CREATE INDEX feedback_by_consumer ON feedback (consumer, channel_id);
  CREATE INDEX feedback_unshown ON feedback (received_at) WHERE shown = 0;
  -- Providers whose score is to be computed anew.
  CREATE TABLE rescores (provider_id TEXT PRIMARY KEY);

  CREATE TABLE skills (
    id TEXT PRIMARY KEY,
    author TEXT NOT NULL,
    -- 'draft', 'published', 'withdrawn' by the author or 'removed' by an operator.
    state TEXT NOT NULL,
    definition TEXT NOT NULL,
    category TEXT NOT NULL,
    -- What a search looks at, in lower case, and a line '#tag' for each tag.
    words TEXT NOT NULL,
    signed_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
  );
  CREATE INDEX skills_by_state ON skills (state, updated_at);
  CREATE INDEX skills_by_author ON skills (author);

  CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    -- 'gas' or 'invite'.
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    -- Of the chain's coin in wei, and of USDC in base units; decimal text.
    gas TEXT NOT NULL,
    usdc TEXT NOT NULL,
    -- 'promised', 'signed', 'sent', 'done' or 'failed'.
    state TEXT NOT NULL,
    -- Keyed hash of the network that asked; '' for invites.
    network TEXT NOT NULL,
    -- Why it failed.
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL
  );
  CREATE INDEX grants_by_address ON grants (kind, address, created_at);
  CREATE INDEX grants_by_network ON grants (kind, network, created_at);
  CREATE INDEX grants_by_time ON grants (kind, created_at);
  CREATE INDEX grants_under_way ON grants (state) WHERE state IN ('promised', 'signed', 'sent');
  CREATE TABLE grant_transactions (
    -- Chain id and address of the wallet that pays: whoever writes a nonce first has it.
    sender TEXT NOT NULL,
    nonce BIGINT NOT NULL,
    grant_id TEXT NOT NULL,
    -- 'gas' or 'usdc'.
    part TEXT NOT NULL,
    -- Of the latest form, or of the one that was mined.
    hash TEXT NOT NULL,
    -- Its signed forms, which differ in their fees, a space between them, the latest last; each is kept before it is sent.
    raw TEXT NOT NULL,
    -- 'signed', 'done', 'reverted', or 'replaced' where another transaction took the nonce.
    state TEXT NOT NULL,
    PRIMARY KEY (sender, nonce)
  );
  CREATE UNIQUE INDEX grant_transactions_by_grant ON grant_transactions (grant_id, part) WHERE state <> 'replaced';
  CREATE TABLE invites (
    -- SHA-256 of the code.
    hash TEXT PRIMARY KEY,
    gas TEXT NOT NULL,
    usdc TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    grant_id TEXT
  );

  CREATE TABLE actions (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    operator TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL
  );
  CREATE INDEX actions_by_time ON actions (at);`,
]

/**
 * Brings a database up to date.
 *
 * @throws Error when a newer program has written it.
 */
export async function migrate(database: Database): Promise<void> {
  await database.transaction(async (sql) => {
    await sql.run('CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)')
    const { version } = (await sql.one<{ version: number }>('SELECT version FROM schema_version')) ?? {
      version: 0,
    }
    if (version > migrations.length) {
      throw new Error(
        `The directory's database is of version ${version}, this program knows ${migrations.length}: update it.`,
      )
    }
    for (const migration of migrations.slice(version)) {
      for (const statement of statementsOf(migration)) await sql.run(statement)
    }
    await sql.run('DELETE FROM schema_version')
    await sql.run('INSERT INTO schema_version VALUES ($1)', migrations.length)
  })
}

function statementsOf(migration: string): string[] {
  return migration
    .replace(/--.*$/gm, '')
    .split(';')
    .map((text) => text.trim())
    .filter((text) => text !== '')
}
