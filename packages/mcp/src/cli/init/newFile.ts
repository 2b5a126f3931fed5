import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, fsyncSync, linkSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** A new file of that mode, on disk when it returns. @throws `EEXIST` */
export function writeNew(file: string, text: string, mode: number): void {
  const descriptor = openSync(file, 'wx', 0o600)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  if (mode !== 0o600) chmodSync(file, mode)
}

/**
 * Makes a file that its owner alone can read, whole or not at all; on disk when it returns.
 *
 * @returns Whether it was made: `false` where there is one already, which stays.
 */
export function createSecret(file: string, text: string): boolean {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  try {
    writeNew(draft, text, 0o600)
    linkSync(draft, file)
    syncFolder(dirname(file))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Windows can't, and needs not. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
