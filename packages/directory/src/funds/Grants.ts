/** Grants and their transactions as they are kept. */
import { randomUUID } from 'node:crypto'
import type { Address, Hex } from 'viem'
import type { Database, Sql } from '../store/Database.ts'
import type { Grant, GrantState, GrantTransaction, Part } from './Grant.ts'
import type { SignedForm } from './HotWallet.ts'

type Row = Record<string, string | number>

/** A grant to be. */
export type Wanted = Pick<Grant, 'kind' | 'address' | 'gas' | 'usdc'> & {
  /** Keyed hash of the network that asks; '' for none. */
  network: string
  now: number
}

/** What was promised since a time and has not failed: the sums that budgets are about. */
export type Promised = { gas: bigint; usdc: bigint }

const columns = 'id, kind, address, gas, usdc, state, reason, created_at'

export type Grants = ReturnType<typeof createGrants>

export function createGrants(database: Database) {
  return {
    get: (id: string) => readGrant(database, id),

    async transactionsOf(grantId: string): Promise<GrantTransaction[]> {
      const rows = await database.all<Row>(
        "SELECT * FROM grant_transactions WHERE grant_id = $1 AND state <> 'replaced' ORDER BY nonce",
        grantId,
      )
      return rows.map(toTransaction)
    },

    /** Those that are neither done nor failed, the oldest first. */
    async underWay(limit = 1_000): Promise<Grant[]> {
      const rows = await database.all<Row>(
        `SELECT ${columns} FROM grants WHERE state IN ('promised', 'signed', 'sent') ORDER BY created_at, id LIMIT $1`,
        limit,
      )
      return rows.map(toGrant)
    },

    /** The first nonce of a sender, from `from` on, that no kept transaction has. */
    async freeNonce(sender: string, from: number): Promise<number> {
      const rows = await database.all<Row>(
        'SELECT nonce FROM grant_transactions WHERE sender = $1 AND nonce >= $2 ORDER BY nonce',
        sender,
        from,
      )
      let free = from
      for (const { nonce } of rows) if (Number(nonce) === free) free++
      return free
    },

    /**
     * Keeps a signed transaction. `false`: the nonce is another's by now. Where the part has one already, nothing is done: it is that one
     * that counts.
     */
    keep: (
      transaction: Omit<GrantTransaction, 'raws' | 'state'> & Pick<SignedForm, 'raw'>,
    ): Promise<boolean> =>
      database.transaction(async (sql) => {
        const { sender, nonce, grantId, part, hash, raw } = transaction
        const own = await sql.one(
          "SELECT nonce FROM grant_transactions WHERE grant_id = $1 AND part = $2 AND state <> 'replaced'",
          ...[grantId, part],
        )
        if (own) return true
        const kept = await sql.run(
          `INSERT INTO grant_transactions (sender, nonce, grant_id, part, hash, raw, state)
            VALUES ($1, $2, $3, $4, $5, $6, 'signed') ON CONFLICT DO NOTHING`,
          ...[sender, nonce, grantId, part, hash, raw],
        )
        return kept === 1
      }),

    /** Keeps another form of a transaction beside its earlier ones. `false`: it is settled, or somebody else kept one since. */
    async keepForm({ sender, nonce, hash }: GrantTransaction, form: SignedForm): Promise<boolean> {
      const kept = await database.run(
        `UPDATE grant_transactions SET hash = $1, raw = raw || ' ' || $2
          WHERE sender = $3 AND nonce = $4 AND hash = $5 AND state = 'signed'`,
        ...[form.hash, form.raw, sender, nonce, hash],
      )
      return kept === 1
    },

    /**
     * What became of a transaction, and of which form; nothing where somebody kept a form since that nobody looked for. A part that was
     * replaced is signed anew: its grant is promised again.
     */
    settle: (
      { sender, nonce, grantId, hash: latest }: GrantTransaction,
      { state, hash }: { state: 'done' | 'reverted' | 'replaced'; hash: Hex },
    ): Promise<void> =>
      database.transaction(async (sql) => {
        const changed = await sql.run(
          `UPDATE grant_transactions SET state = $1, hash = $2
            WHERE sender = $3 AND nonce = $4 AND hash = $5 AND state = 'signed'`,
          ...[state, hash, sender, nonce, latest],
        )
        if (changed === 1 && state === 'replaced')
          await sql.run(
            "UPDATE grants SET state = 'promised' WHERE id = $1 AND state IN ('signed', 'sent')",
            grantId,
          )
      }),

    /** From one state to a later one; nothing where another has done it. */
    async advance(id: string, from: readonly GrantState[], to: GrantState): Promise<void> {
      const places = from.map((_, index) => `$${index + 3}`).join(', ')
      await database.run(
        `UPDATE grants SET state = $1 WHERE id = $2 AND state IN (${places})`,
        to,
        id,
        ...from,
      )
    },

    /** Gives back to the budget what was not given. */
    async fail(id: string, given: Promised, reason: string): Promise<void> {
      await database.run(
        "UPDATE grants SET state = 'failed', gas = $1, usdc = $2, reason = $3 WHERE id = $4 AND state IN ('signed', 'sent')",
        ...[given.gas.toString(), given.usdc.toString(), reason.slice(0, 300), id],
      )
    },

    database,
  }
}

/** The latest of an address, or of a network, since a time; failed ones, too. */
export async function latestOf(
  sql: Sql,
  kind: Grant['kind'],
  { address, network }: { address: Address; network: string },
  since: number,
): Promise<Grant | undefined> {
  const row = await sql.one<Row>(
    `SELECT ${columns} FROM grants WHERE kind = $1 AND (address = $2 OR network = $3) AND created_at > $4
      ORDER BY created_at DESC LIMIT 1`,
    ...[kind, address, network, since],
  )
  return row && toGrant(row)
}

/** Of a kind, since a time; `oldest`: when the first of them was. */
export async function promisedSince(
  sql: Sql,
  kind: Grant['kind'],
  since: number,
): Promise<Promised & { oldest: number | undefined }> {
  // Wei don't fit into the sums of SQL.
  const rows = await sql.all<Row>(
    'SELECT gas, usdc, created_at FROM grants WHERE kind = $1 AND created_at > $2 ORDER BY created_at',
    ...[kind, since],
  )
  return { ...sumOf(rows), oldest: rows[0] && Number(rows[0].created_at) }
}

/** What grants that are neither done nor failed still take from the wallet, at most. */
export async function outstanding(sql: Sql): Promise<Promised> {
  return sumOf(
    await sql.all<Row>("SELECT gas, usdc FROM grants WHERE state IN ('promised', 'signed', 'sent')"),
  )
}

export async function promise(sql: Sql, { kind, address, gas, usdc, network, now }: Wanted): Promise<Grant> {
  const grant: Grant = {
    ...{ id: randomUUID(), kind, address, gas, usdc, state: 'promised', reason: '', createdAt: now },
  }
  await sql.run(
    `INSERT INTO grants (${columns}, network) VALUES ($1, $2, $3, $4, $5, 'promised', '', $6, $7)`,
    ...[grant.id, kind, address, gas.toString(), usdc.toString(), now, network],
  )
  return grant
}

export async function readGrant(sql: Sql, id: string): Promise<Grant | undefined> {
  const row = await sql.one<Row>(`SELECT ${columns} FROM grants WHERE id = $1`, id)
  return row && toGrant(row)
}

function sumOf(rows: readonly Row[]): Promised {
  let [gas, usdc] = [0n, 0n]
  for (const row of rows) {
    gas += BigInt(row.gas as string)
    usdc += BigInt(row.usdc as string)
  }
  return { gas, usdc }
}

function toGrant(row: Row): Grant {
  return {
    id: row.id as string,
    kind: row.kind as Grant['kind'],
    address: row.address as Address,
    gas: BigInt(row.gas as string),
    usdc: BigInt(row.usdc as string),
    state: row.state as GrantState,
    reason: row.reason as string,
    createdAt: Number(row.created_at),
  }
}

function toTransaction(row: Row): GrantTransaction {
  return {
    sender: row.sender as string,
    nonce: Number(row.nonce),
    grantId: row.grant_id as string,
    part: row.part as Part,
    hash: row.hash as Hex,
    raws: (row.raw as string).split(' ') as Hex[],
    state: row.state as GrantTransaction['state'],
  }
}
