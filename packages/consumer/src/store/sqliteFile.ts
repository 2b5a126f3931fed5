import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, linkSync, openSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'
import { DrainError } from '@drain/core'
import type SQLite from 'better-sqlite3'
import type { Database } from 'better-sqlite3'
import { StoreFileError } from './Errors.ts'
import { syncFolder } from './syncFolder.ts'

/** 'DRNC', in the header of each store: tells it from other programs' databases, and from a provider's ledger. */
const applicationId = 0x44524e43

const schemaVersion = 1

/** A removed entry stays with no text, so that others learn of it, and so that no revision is given twice. */
const schema = `
  CREATE TABLE entries (key TEXT PRIMARY KEY, text TEXT, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX entries_by_revision ON entries (revision);
`

const restore =
  'Restore it from a copy; or put it aside, start with another file, and let `client.recover()` find the channels again.'

/**
 * Opens the store at `path`, or makes one if nothing is there. What is there and can't be used is neither replaced nor
 * changed: it is looked at through a connection that can't write, and only then opened.
 *
 * Only SQLite may open the file: a process that closes any other descriptor of it loses its locks on it.
 * @throws {StoreFileError}
 */
export function openSqliteFile(path: string, { busyTimeoutMs }: { busyTimeoutMs: number }): Database {
  const Database = loadSqlite()
  if (path === '' || path === ':memory:')
    throw new StoreFileError(`"${path}"`, 'is not a file', { action: 'Name a file, or use memoryStore.' })
  const file = resolve(path)
  if (!existsSync(file)) create(Database, file)
  inspect(Database, file, busyTimeoutMs)
  return refusing(file, 'cannot be opened', 'Check its permissions and those of its folder.', () => {
    const database = new Database(file, { fileMustExist: true, timeout: busyTimeoutMs })
    try {
      // A COMMIT returns when the disk has it, and others see it no sooner.
      database.pragma('synchronous = FULL')
      // SQLite opens a file that it may not write without a word; this fails.
      database.exec('BEGIN IMMEDIATE; COMMIT')
      return database
    } catch (error) {
      database.close()
      throw error
    }
  })
}

/** Makes the store under another name first, so that there is never half a store at `file`. */
function create(Database: typeof SQLite, file: string): void {
  if (existsSync(`${file}-wal`))
    throw new StoreFileError(file, 'is missing, but its -wal file is there', { action: restore })
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`
  refusing(file, 'cannot be created', 'It needs an existing, writable folder on a local disk.', () => {
    try {
      // SQLite gives its other files the permissions of this one.
      closeSync(openSync(draft, 'wx', 0o600))
      const database = new Database(draft)
      try {
        database.pragma('synchronous = FULL')
        if (database.pragma('journal_mode = WAL', { simple: true }) !== 'wal')
          throw new Error('no write-ahead log on this file system')
        database.pragma(`application_id = ${applicationId}`)
        database.pragma(`user_version = ${schemaVersion}`)
        database.exec(schema)
      } finally {
        database.close()
      }
      // Unlike a rename, a link never replaces what another process has made meanwhile.
      linkSync(draft, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${draft}${suffix}`, { force: true })
    }
    syncFolder(dirname(file))
  })
}

/** Refuses a file that isn't a sound store. */
function inspect(Database: typeof SQLite, file: string, busyTimeoutMs: number): void {
  refusing(file, 'cannot be read as a store', restore, () => {
    // SQLite reads a page that is cut off as if it ended in zeros. Only a log may still hold the rest of it.
    const log = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    const { size } = statSync(file)
    const database = new Database(file, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs })
    try {
      if (database.pragma('application_id', { simple: true }) !== applicationId)
        throw new StoreFileError(file, 'is empty or belongs to another program', { action: restore })
      if (log === 0 && size % Number(database.pragma('page_size', { simple: true })) !== 0)
        throw new StoreFileError(file, 'is damaged: its last page is cut off', { action: restore })
      const version = database.pragma('user_version', { simple: true })
      if (version !== schemaVersion) {
        throw new StoreFileError(file, `has schema version ${version}, not ${schemaVersion}`, {
          action: 'Use the version of @drain/consumer that wrote it, or a later one.',
        })
      }
      const integrity = database.pragma('integrity_check(1)', { simple: true })
      if (integrity !== 'ok') {
        const cause = new Error(String(integrity))
        throw new StoreFileError(file, 'is damaged', { action: restore, cause })
      }
    } finally {
      database.close()
    }
  })
}

function loadSqlite(): typeof SQLite {
  // In the build for `require` there is a `__filename`, in the other an `import.meta`.
  const here = typeof __filename === 'string' ? __filename : import.meta.url
  try {
    return createRequire(here)('better-sqlite3')
  } catch (cause) {
    throw new DrainError('sqlite_missing', 'sqliteStore needs the package better-sqlite3.', {
      action: 'Install it (npm install better-sqlite3), or use fileStore, which needs nothing.',
      details: cause instanceof Error ? cause.message : undefined,
      cause,
    })
  }
}

function refusing<result>(file: string, problem: string, action: string, attempt: () => result): result {
  try {
    return attempt()
  } catch (cause) {
    if (cause instanceof DrainError) throw cause
    throw new StoreFileError(file, problem, { action, cause })
  }
}
