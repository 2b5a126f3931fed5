import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import SQLite from 'better-sqlite3'
import { LedgerFileError } from './Errors.ts'
import { isLedger } from './sqliteFile.ts'
import { copied } from './sqliteOrigin.ts'
import { syncFolder } from './syncFolder.ts'

/**
 * Copies a ledger into a new file, also while providers work with it: as it was when the copy began.
 *
 * A provider that is started from the copy finds its open channels frozen: they can be claimed and closed, but what was
 * spent after the copy was made must not be served twice.
 *
 * @example
 * ```ts
 * await backupSqliteLedger('drain.db', `drain-${new Date().toISOString().slice(0, 10)}.db`)
 * ```
 * @throws LedgerFileError when `path` is no ledger, or there is something at `copyPath` already, or it can't be written.
 */
export async function backupSqliteLedger(path: string, copyPath: string): Promise<void> {
  const [file, copy] = [resolve(path), resolve(copyPath)]
  if (existsSync(copy))
    throw new LedgerFileError(copy, 'is there already', { action: 'Name a file that is not there yet.' })
  const draft = `${copy}.${randomBytes(6).toString('hex')}.new`
  try {
    await copyInto(draft, file)
    markAsCopy(draft)
    // Unlike a rename, a link never replaces what came meanwhile.
    linkSync(draft, copy)
    syncFolder(dirname(copy))
  } catch (cause) {
    if (cause instanceof LedgerFileError) throw cause
    throw new LedgerFileError(file, `cannot be copied to ${copy}`, {
      action: 'It needs a sound ledger, an existing folder for the copy, and room in it.',
      cause,
    })
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${draft}${suffix}`, { force: true })
  }
}

async function copyInto(draft: string, file: string): Promise<void> {
  const source = new SQLite(file, { readonly: true, fileMustExist: true })
  try {
    if (!isLedger(source))
      throw new LedgerFileError(file, 'belongs to another program', { action: 'Name a ledger.' })
    // Holds on to what is there now: else each commit of a provider would make the copy begin anew.
    source.exec('BEGIN')
    source.prepare('SELECT count(*) FROM meta').get()
    await source.backup(draft)
  } finally {
    source.close()
  }
}

function markAsCopy(draft: string): void {
  const database = new SQLite(draft, { fileMustExist: true })
  try {
    database.pragma('synchronous = FULL')
    database.prepare('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)').run(...copied)
  } finally {
    database.close()
  }
}
