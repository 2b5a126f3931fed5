import { resolve } from 'node:path'
import type { Address } from 'viem'
import { createLedger } from '../ledger/createLedger.ts'
import { LedgerFileError, LedgerUsageError } from '../ledger/Errors.ts'
import type { DayRange, Ledger, LedgerIdentity } from '../ledger/Ledger.ts'
import type { LedgerStore } from '../ledger/LedgerStore.ts'
import { incomes } from '../settle/ChargeBook.ts'
import { unpaidGas } from '../settle/unpaidGas.ts'

/** A ledger's accounts, to be read: whatever its provider does meanwhile, nothing is changed, frozen or made. */
export type Books = {
  /** Whose ledger it is, as it says itself. */
  identity: LedgerIdentity
  days(range: DayRange): ReturnType<LedgerStore['days']>
  claims(range: DayRange): ReturnType<LedgerStore['claims']>
  /** Payments without a channel. */
  incomes(range: DayRange): ReturnType<typeof incomes>
  /** Transactions that paid nothing. */
  unpaidGas(range: DayRange): ReturnType<typeof unpaidGas>
  /** The same as a ledger. What would write rejects with `LedgerUsageError`. */
  ledger: Pick<Ledger, 'channels' | 'totals' | 'notebook'>
  close(): Promise<void>
}

/** What each database brings. */
type Source = Pick<LedgerStore, 'pages' | 'totals' | 'days' | 'claims' | 'notes' | 'close'> & {
  identity: LedgerIdentity
}

/** `log` takes what can't be read and is left out. */
type Options = { schema?: string | undefined; log?: ((message: string) => void) | undefined }

/**
 * Opens the ledger at `source`, a file of SQLite or a URL of PostgreSQL, for reading.
 * @throws LedgerFileError | LedgerUnavailableError | LedgerUsageError
 */
export async function openBooks(source: string, options: Options = {}): Promise<Books> {
  const { schema = 'drain', log = console.warn } = options
  const { identity, ...read } = isPostgres(source)
    ? await postgresSource(source, schema, log)
    : await sqliteSource(source, log)
  const ledger = createLedger(readOnlyStore(read), { identity, log })
  return {
    identity,
    days: read.days,
    claims: read.claims,
    incomes: (range) => incomes(ledger.notebook, range),
    unpaidGas: (range) => unpaidGas(ledger.notebook, range),
    ledger,
    close: () => read.close(),
  }
}

/** Whether the ledger is in PostgreSQL, and not in a file. */
export function isPostgres(source: string): boolean {
  return /^postgres(?:ql)?:/i.test(source)
}

// Each imports its database when it is needed: an operator has only one of them installed.

async function sqliteSource(path: string, log: (message: string) => void): Promise<Source> {
  const file = resolve(path)
  const { default: SQLite } = await import('better-sqlite3')
  const { isLedger } = await import('../ledger/sqliteFile.ts')
  const { addTotals, noTotals, sqliteRows } = await import('../ledger/sqliteRows.ts')
  const { sqliteNotes } = await import('../ledger/sqliteNotes.ts')
  try {
    const database = new SQLite(file, { readonly: true, fileMustExist: true })
    if (!isLedger(database))
      throw new LedgerFileError(file, 'is not a ledger', { action: 'Name a ledger’s file.' })
    database.defaultSafeIntegers()
    const meta = database.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck()
    const identity = toIdentity(file, (name) => meta.get(name))
    const rows = sqliteRows(database, identity)
    const hasNotes = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'notes'").get() !== undefined
    const notes = hasNotes ? sqliteNotes(database) : undefined
    return {
      identity,
      pages: async function* (filter) {
        yield* rows.pages(filter, log)
      },
      async totals() {
        const totals = noTotals()
        for (const portion of rows.totals()) addTotals(totals, portion)
        return totals
      },
      days: async function* (range) {
        yield* rows.days(range)
      },
      claims: async function* (range) {
        yield* rows.claims(range)
      },
      notes: async (from, until) => notes?.portion(from, until) ?? [],
      async close() {
        database.close()
      },
    }
  } catch (cause) {
    if (cause instanceof LedgerFileError) throw cause
    throw new LedgerFileError(file, 'cannot be read as a ledger', {
      action: 'Check the name, and the permissions of the file and its folder.',
      cause,
    })
  }
}

async function postgresSource(url: string, schema: string, log: (message: string) => void): Promise<Source> {
  const { postgresLists } = await import('../ledger/postgresLists.ts')
  const { postgresNotes } = await import('../ledger/postgresNotes.ts')
  const { postgresPages } = await import('../ledger/postgresPages.ts')
  const { postgresPool } = await import('../ledger/postgresPool.ts')
  const { tablesOf } = await import('../ledger/postgresSchema.ts')
  const tables = tablesOf(schema)
  const pool = postgresPool(url, { timeoutMs: 10_000, prepare: async () => {} })
  try {
    const { rows } = await pool.run((session) =>
      session.query<{ name: string; value: string }>({ text: `SELECT name, value FROM ${tables.meta}` }),
    )
    const meta = new Map(rows.map(({ name, value }) => [name, value]))
    const identity = toIdentity(`schema ${tables.schema} of ${pool.name}`, (name) => meta.get(name))
    const { totals, days, claims } = postgresLists(pool, tables, log)
    // Only read: nothing asks for the clock or the mark.
    const notes = postgresNotes(pool, { tables, mark: () => undefined, now: Date.now, observe: () => {} })
    // Ledgers of the version before have none until a provider opens them.
    const hasNotes = Number(meta.get('version')) >= 3
    return {
      identity,
      pages: postgresPages(pool, { tables, identity, log }),
      totals,
      days,
      claims,
      notes: async (from, until) => (hasNotes ? notes.portion(from, until) : []),
      close: () => pool.close(),
    }
  } catch (error) {
    await pool.close()
    throw error
  }
}

export function toIdentity(name: string, meta: (name: string) => string | undefined): LedgerIdentity {
  const [chain, contract, provider] = ['chain', 'contract', 'provider'].map(meta)
  if (chain && contract && provider)
    return { chainId: Number(chain), contract: contract as Address, provider: provider as Address }
  throw new LedgerFileError(name, 'does not say whose ledger it is', { action: 'Name a ledger.' })
}

function readOnlyStore(read: Omit<Source, 'identity'>): LedgerStore {
  const refuse = async () => {
    throw new LedgerUsageError('The ledger was opened for reading.')
  }
  return {
    ...read,
    // A step that only looks at a note is no writing.
    async writeNote(key, decide) {
      const [note] = await read.notes(key, `${key} `)
      const { result, write } = decide(note?.text, Date.now())
      return write === undefined ? result : refuse()
    },
    update: refuse,
    read: refuse,
    glance: refuse,
    outcome: refuse,
    prune: refuse,
    async ready() {},
  }
}
