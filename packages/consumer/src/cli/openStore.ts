import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DrainError } from '@drain/core'
import type { ClientStore } from '../store/ClientStore.ts'

/**
 * The store in a folder, which is made where there is none, for its owner only: SQLite, so that several commands can run at once,
 * or a file where better-sqlite3 doesn't load. What has begun as one stays that.
 */
export async function openStore(folder: string): Promise<ClientStore> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const [database, file] = [join(folder, 'channels.db'), join(folder, 'channels.log')]
  const { fileStore } = await import('../store/file.ts')
  if (existsSync(file)) return fileStore(file)
  const { sqliteStore } = await import('../store/sqlite.ts')
  try {
    return sqliteStore(database)
  } catch (error) {
    const isMissing = error instanceof DrainError && error.code === 'sqlite_missing'
    if (!isMissing || existsSync(database)) throw error
    return fileStore(file)
  }
}
