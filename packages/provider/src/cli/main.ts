/** `drain-provider`: what an operator does with a ledger from the command line. */
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { parseArgs } from 'node:util'
import { DrainError } from '@drain/core'
import * as Day from '../ledger/Day.ts'
import { accounts, columns, toCsv } from './accounts.ts'
import { openBooks } from './openBooks.ts'

const usage = `Usage:
  drain-provider export --ledger <file or postgresql://…> [--from YYYY-MM-DD] [--to YYYY-MM-DD]
                        [--format csv|json] [--out <new file>] [--schema <name>]
      Charges, claims and fees in USDC by day (UTC) and channel. The provider may run meanwhile.
  drain-provider backup --ledger <file> --out <new file>
      A copy of an SQLite ledger, also while the provider runs. A provider that is started from the copy finds its channels
      frozen, since what was spent after the copy was made is not in it.
`

/** What is wrong with the command line: told together with the usage. */
class UsageError extends Error {}

/** Runs one command and returns the process's exit code: 0 done, 1 failed, 2 not understood. */
export async function main(
  args: string[],
  { stdout, stderr }: { stdout: Writable; stderr: Writable },
): Promise<0 | 1 | 2> {
  try {
    await run(args, stdout, stderr)
    return 0
  } catch (error) {
    // A reader such as `head` that has seen enough is no error.
    if (codeOf(error) === 'EPIPE') return 0
    const isUsage = error instanceof UsageError || codeOf(error)?.startsWith('ERR_PARSE_ARGS')
    const message = isUsage || error instanceof DrainError ? (error as Error).message : String(error)
    stderr.write(isUsage ? `${message}\n\n${usage}` : `${message}\n`)
    return isUsage ? 2 : 1
  }
}

async function run(args: string[], stdout: Writable, stderr: Writable): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ledger: { type: 'string' },
      schema: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      format: { type: 'string', default: 'csv' },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return void stdout.write(usage)
  const [command, ...rest] = positionals
  if (command !== 'export' && command !== 'backup')
    throw new UsageError('The commands are export and backup.')
  if (rest.length > 0) throw new UsageError(`There is no place for "${rest[0]}".`)
  const { ledger, out, from, to, format } = values
  if (!ledger) throw new UsageError('Name the ledger: --ledger drain.db, or --ledger postgresql://….')
  if (command === 'backup') {
    if (!out) throw new UsageError('Name the copy: --out backup.db.')
    const { backupSqliteLedger } = await import('../ledger/backupSqliteLedger.ts')
    await backupSqliteLedger(ledger, out)
    return void stderr.write(`${ledger} was copied to ${out}\n`)
  }
  for (const day of [from, to]) {
    if (day !== undefined && Day.parse(day) === undefined)
      throw new UsageError(`"${day}" is not a day such as 2026-01-31.`)
  }
  if (format !== 'csv' && format !== 'json') throw new UsageError('The format is csv or json.')
  const books = await openBooks(ledger, { schema: values.schema })
  try {
    const rows = accounts(books, { from, to })
    const count = await writeRows(rows, format, () =>
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

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}
