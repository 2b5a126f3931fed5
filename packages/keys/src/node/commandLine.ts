/** What the command lines of this project have in common. */
import type { Writable } from 'node:stream'
import { DrainError } from '@drain/core'

/** What is wrong with the command line: told together with the usage. */
export class UsageError extends Error {}

export type Streams = { stdout: Writable; stderr: Writable }

/**
 * Runs a command and returns the process's exit code: its own, or 1 when it failed, 2 when it was not understood. Writes what went
 * wrong to `stderr`.
 */
export async function runCommand<code extends number>(
  usage: string,
  { stderr }: Pick<Streams, 'stderr'>,
  command: () => Promise<code>,
): Promise<code | 0 | 1 | 2> {
  try {
    return await command()
  } catch (error) {
    // A reader such as `head` that has seen enough is no error.
    if (codeOf(error) === 'EPIPE') return 0
    const isUsage = error instanceof UsageError || Boolean(codeOf(error)?.startsWith('ERR_PARSE_ARGS'))
    const message = isUsage || error instanceof DrainError ? (error as Error).message : sentence(error)
    stderr.write(isUsage ? `${message}\n\n${usage}` : `${message}\n`)
    return isUsage ? 2 : 1
  }
}

/** viem's long messages quote the node's URL, which may have a key in it. */
function sentence(error: unknown): string {
  const { shortMessage } = (error ?? {}) as { shortMessage?: unknown }
  return typeof shortMessage === 'string' ? shortMessage : String(error)
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** Rows in columns, each as wide as its widest cell. Columns of numbers are aligned to the right. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const isNumeric = head.map((_, column) => rows.every((row) => /^[\d.]*$/.test(row[column] ?? '')))
  return [head, ...rows]
    .map((cells) =>
      cells
        .map((cell, column) => cell[isNumeric[column] ? 'padStart' : 'padEnd'](widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}
