/** The published package's own judge of servers: `mppx validate`, as people run it. */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

type Check = { label: string; status: string; message?: string; hint?: string }

export type Report = {
  discovery: { found: boolean; valid: boolean }
  endpoints: Record<'challenge' | 'errorHandling' | 'payment', Check[]>[] & { method: string; path: string }[]
  summary: { passed: number; failed: number; warnings: number; skipped: number }
}

/** What it says of a server, and how it ends. */
export function mppxValidate(
  origin: string,
  ...options: string[]
): Promise<{ report: Report; exit: number }> {
  const cli = join(dirname(createRequire(import.meta.url).resolve('mppx')), 'bin.js')
  return new Promise((resolve, reject) => {
    // Only its own words, whatever wallets this machine knows of.
    const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', NO_COLOR: '1' }
    const words = [cli, 'validate', origin, '--output-json', ...options]
    execFile(process.execPath, words, { env }, (error, stdout, stderr) => {
      try {
        resolve({ report: JSON.parse(stdout), exit: typeof error?.code === 'number' ? error.code : 0 })
      } catch {
        reject(new Error(`mppx validate: ${stdout}${stderr}`))
      }
    })
  })
}
