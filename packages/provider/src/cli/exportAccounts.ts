import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import type { DayRange } from '../ledger/Ledger.ts'
import { accounts, columns, toCsv } from './accounts.ts'
import { openBooks } from './openBooks.ts'

export type ExportOptions = {
  ledger: string
  schema?: string | undefined
  range: DayRange
  format: 'csv' | 'json'
  /** A file that doesn't exist yet. Default: `stdout`. */
  out?: string | undefined
}

/** Writes a ledger's accounts, and how many rows these were to `stderr`. */
export async function exportAccounts(
  { ledger, schema, range, format, out }: ExportOptions,
  { stdout, stderr }: { stdout: Writable; stderr: Writable },
): Promise<void> {
  const books = await openBooks(ledger, { schema })
  try {
    const count = await writeRows(accounts(books, range), format, () =>
      out === undefined ? stdout : createWriteStream(out, { flags: 'wx' }),
    )
    stderr.write(`${count} rows\n`)
  } finally {
    await books.close()
  }
}

/**
 * Writes as fast as what `open` opens takes it, and ends that unless it is the process's own. Opens it when the first row has
 * been read: a ledger that can't be read leaves nothing behind. Returns how many rows there were.
 */
async function writeRows(
  rows: ReturnType<typeof accounts>,
  format: 'csv' | 'json',
  open: () => Writable,
): Promise<number> {
  let next = await rows.next()
  const to = open()
  const failed = new Promise<never>((_, reject) => to.once('error', reject))
  failed.catch(() => {})
  const write = async (text: string) => {
    if (!to.write(text)) await Promise.race([once(to, 'drain'), failed])
  }
  let count = 0
  await write(format === 'csv' ? `${columns.join(',')}\n` : '[')
  for (; !next.done; next = await rows.next()) {
    const separator = count > 0 ? ',' : ''
    await write(format === 'csv' ? `${toCsv(next.value)}\n` : `${separator}\n${JSON.stringify(next.value)}`)
    count += 1
  }
  if (format === 'json') await write('\n]\n')
  if (to !== process.stdout) await Promise.race([once(to.end(), 'finish'), failed])
  return count
}
