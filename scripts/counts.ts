/** Counting what runners report, and running them. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'

export type Counts = { passed: number; failed: number; skipped: number }

export const none: Counts = { passed: 0, failed: 0, skipped: 0 }

/** The repository. */
export const root = new URL('../', import.meta.url)

/** Runs a command in the repository, showing and keeping what it prints. */
export function stream(command: string, args: string[]): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const [source, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      source.on('data', (chunk: Buffer) => {
        output += chunk
        target.write(chunk)
      })
    }
    child.on('error', reject)
    child.on('close', (status) => resolve({ status: status ?? 1, output }))
  })
}

/** Adds up, writes `.reports/<name>.json`, prints the closing line, and sets the exit code. */
export function finish(name: string, all: Counts[]): void {
  const sum = all.reduce(
    (total, one) => ({
      passed: total.passed + one.passed,
      failed: total.failed + one.failed,
      skipped: total.skipped + one.skipped,
    }),
    none,
  )
  mkdirSync(new URL('.reports/', root), { recursive: true })
  writeFileSync(new URL(`.reports/${name}.json`, root), JSON.stringify(sum))
  console.log(
    `${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`,
  )
  if (sum.failed > 0 || sum.passed === 0) process.exitCode = 1
}
