/** Counting what runners report, and running them. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'

export type Counts = {
  passed: number
  failed: number
  skipped: number
  /** What failed, a line or more each. */
  failures: readonly string[]
}

export const none: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] }

/** The repository. */
export const root = new URL('../', import.meta.url)

/** Runs a command in the repository, keeping what it prints, and showing it unless it is to be `quiet`. */
export function stream(
  command: string,
  args: string[],
  { quiet = false }: { quiet?: boolean } = {},
): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const [source, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      source.on('data', (chunk: Buffer) => {
        output += chunk
        if (!quiet) target.write(chunk)
      })
    }
    child.on('error', reject)
    child.on('close', (status) => resolve({ status: status ?? 1, output }))
  })
}

/** Adds up, writes `.reports/<name>.json`, prints what failed and the closing line, and sets the exit code. */
export function finish(name: string, all: Counts[]): void {
  const sum = all.reduce(
    (total, one) => ({
      passed: total.passed + one.passed,
      failed: total.failed + one.failed,
      skipped: total.skipped + one.skipped,
      failures: [...total.failures, ...one.failures],
    }),
    none,
  )
  mkdirSync(new URL('.reports/', root), { recursive: true })
  writeFileSync(new URL(`.reports/${name}.json`, root), JSON.stringify(sum))
  for (const failure of sum.failures) console.log(`FAILED ${failure}`)
  console.log(
    `${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`,
  )
  if (sum.failed > 0 || sum.passed === 0) process.exitCode = 1
}
