import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import SQLite, { type Database } from 'better-sqlite3'
import { assertNodeVersion } from './assertNodeVersion.ts'
import { LedgerFileError } from './Errors.ts'
import type { LedgerIdentity } from './Ledger.ts'
import { notesSchema } from './sqliteNotes.ts'
import { originOf, recognize, sidecarOf } from './sqliteOrigin.ts'
import { schema } from './sqliteRows.ts'
import { syncFolder } from './syncFolder.ts'

/** 'DRAN', in the header of each ledger: tells it from other programs' databases. */
const applicationId = 0x4452414e

const schemaVersion = 3

/** It only lacks the notes. */
const upgradable = 2

/**
 * A channel is a few hundred bytes. When a million of them are used at random, each step writes a page of its own, three
 * times over: so the pages are small. With 1 KiB instead of 4, commits take half as long.
 */
const pageSize = 1024

const restore =
  'Restore it from a backup. Starting with another file means to take every old voucher again: claim those of this one first.'

/**
 * Opens the ledger at `path`, or makes one if nothing is there. What is there and can't be used is neither replaced nor
 * changed: it is looked at through a connection that can't write, and only then opened.
 *
 * Only SQLite may open the file: a process that closes any other descriptor of it loses its locks on it.
 * @throws LedgerFileError
 */
export function openSqliteFile(
  path: string,
  identity: LedgerIdentity,
  options: {
    busyTimeoutMs?: number | undefined
    restored?: 'freeze' | 'trust' | undefined
    check?: 'full' | 'quick' | undefined
    log: (message: string) => void
  },
): { database: Database; mark: () => void } {
  const { busyTimeoutMs = 5000, restored = 'freeze', check = 'full', log } = options
  assertNodeVersion(process.versions.node)
  if (path === '' || path === ':memory:')
    throw new LedgerFileError(`"${path}"`, 'is not a file', { action: 'Name a file, or use memoryLedger.' })
  const file = resolve(path)
  // In this order: another process may be making the ledger, and its sidecar comes last.
  const wasOpened = existsSync(sidecarOf(file))
  if (!existsSync(file)) create(file, identity, wasOpened)
  inspect(file, identity, busyTimeoutMs, check)
  return refusing(file, 'cannot be opened', 'Check its permissions and those of its folder.', () => {
    const database = new SQLite(file, { fileMustExist: true, timeout: busyTimeoutMs })
    try {
      database.defaultSafeIntegers()
      // COMMIT returns when the disk has it: power loss must not un-freeze what is frozen here.
      database.pragma('synchronous = FULL')
      upgrade(database, file, log)
      // SQLite opens a file that it may not write without a word; this fails.
      const mark = recognize(database, file, { restored, log })
      // From here on the store flushes by itself what has to survive.
      database.pragma('synchronous = NORMAL')
      return { database, mark }
    } catch (error) {
      database.close()
      throw error
    }
  })
}

/** Makes the ledger under another name first, so that there is never half a ledger at `file`. */
function create(file: string, identity: LedgerIdentity, wasOpened: boolean): void {
  if (existsSync(`${file}-wal`))
    throw new LedgerFileError(file, 'is missing, but its -wal file is there', { action: restore })
  if (wasOpened) {
    throw new LedgerFileError(file, `is missing, but ${sidecarOf(file)} says that it was there`, {
      action: `${restore} To start anew all the same, remove that file.`,
    })
  }
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`
  refusing(file, 'cannot be created', 'It needs an existing, writable folder on a local disk.', () => {
    try {
      const database = new SQLite(draft)
      try {
        database.pragma(`page_size = ${pageSize}`)
        if (database.pragma('journal_mode = WAL', { simple: true }) !== 'wal')
          throw new Error('no write-ahead log on this file system')
        database.pragma(`application_id = ${applicationId}`)
        database.pragma(`user_version = ${schemaVersion}`)
        database.exec(schema)
        database.exec(notesSchema)
        const insert = database.prepare('INSERT INTO meta (name, value) VALUES (?, ?)')
        for (const entry of [...toMeta(identity), ...originOf(draft)]) insert.run(...entry)
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

/**
 * Refuses a file that isn't a sound ledger of this identity. Reads all of it, since a damaged index would make known
 * channels look new.
 */
function inspect(
  file: string,
  identity: LedgerIdentity,
  busyTimeoutMs: number,
  check: 'full' | 'quick',
): void {
  refusing(file, 'cannot be read as a ledger', restore, () => {
    // SQLite reads a page that is cut off as if it ended in zeros. Only a log may still hold the rest of it.
    const log = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    const { size } = statSync(file)
    const database = new SQLite(file, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs })
    try {
      if (!isLedger(database))
        throw new LedgerFileError(file, 'is empty or belongs to another program', { action: restore })
      const found = Number(database.pragma('page_size', { simple: true }))
      if (log === 0 && size % found !== 0)
        throw new LedgerFileError(file, 'is damaged: its last page is cut off', { action: restore })
      const version = database.pragma('user_version', { simple: true })
      if (version !== schemaVersion && version !== upgradable) {
        throw new LedgerFileError(file, `has schema version ${version}, not ${schemaVersion}`, {
          action: 'Use the version of @drain/provider that wrote it, or a later one.',
        })
      }
      const pragma = check === 'full' ? 'integrity_check(1)' : 'quick_check(1)'
      const integrity = database.pragma(pragma, { simple: true })
      if (integrity !== 'ok')
        throw new LedgerFileError(file, 'is damaged', {
          action: restore,
          cause: new Error(String(integrity)),
        })
      const select = database.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck()
      for (const [name, value] of toMeta(identity)) {
        const stored = select.get(name)
        if (stored !== value) {
          throw new LedgerFileError(file, `belongs to ${name} ${stored}, not ${value}`, {
            action: 'Keep one file for each provider and contract; name another one.',
          })
        }
      }
    } finally {
      database.close()
    }
  })
}

/** Adds what a ledger of the version before lacks, unless another process has just done so. All of it or nothing. */
function upgrade(database: Database, file: string, log: (message: string) => void): void {
  const isOld = () => Number(database.pragma('user_version', { simple: true })) === upgradable
  if (!isOld()) return
  const isUpgraded = database
    .transaction(() => {
      if (!isOld()) return false
      database.exec(notesSchema)
      database.pragma(`user_version = ${schemaVersion}`)
      return true
    })
    .immediate()
  if (isUpgraded) log(`Upgraded the ledger ${file} from schema version ${upgradable} to ${schemaVersion}.`)
}

/** Whether the database was made by this package. */
export function isLedger(database: Database): boolean {
  return Number(database.pragma('application_id', { simple: true })) === applicationId
}

function toMeta({ chainId, contract, provider }: LedgerIdentity): [name: string, value: string][] {
  return [
    ['chain', String(chainId)],
    ['contract', contract.toLowerCase()],
    ['provider', provider.toLowerCase()],
  ]
}

function refusing<result>(file: string, problem: string, action: string, attempt: () => result): result {
  try {
    return attempt()
  } catch (cause) {
    if (cause instanceof LedgerFileError) throw cause
    throw new LedgerFileError(file, problem, { action, cause })
  }
}
