/** A program of a stranger, in a process of its own. */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

export type Limits = { ms: number; memoryBytes: number; outputBytes: number }

/** What came of a program: its result as JSON, or the error that it ended with; and what it said. */
export type Outcome = { ok: boolean; result?: unknown; error?: string; logs: string[] }

/** How long the process may take for itself, in milliseconds: its start, on a machine that has much to do. */
const startMs = 10_000

/**
 * Runs JavaScript that may be hostile.
 *
 * Three walls: an engine in WebAssembly that knows no files, network, environment or process, with limits of its own; around it a process
 * without environment that Node lets read no file but the engine's, start no process and load no addon; and around that the clock.
 *
 * @throws {Error} When the process can't be started, or ends without an answer before its time.
 */
export function runSandboxed(code: string, input: unknown, limits: Limits): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...sandboxFlags, childFile], {
      env: {},
      cwd: '/',
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    let said = ''
    let isOverdue = false
    const timer = setTimeout(() => {
      isOverdue = true
      child.kill('SIGKILL')
    }, limits.ms + startMs)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      // Result and logs, of which each character may take six in JSON.
      if (said.length > 16 * limits.outputBytes) child.kill('SIGKILL')
    })
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      if (isOverdue) return resolve({ ok: false, error: 'The program did not end in time.', logs: [] })
      try {
        resolve(JSON.parse(said))
      } catch {
        reject(new Error('the sandbox ended without an answer'))
      }
    })
    // It may end before it has read all: then there is no answer, which is told above.
    child.stdin.on('error', () => {}).end(JSON.stringify({ code, input, limits }))
  })
}

const childFile = fileURLToPath(new URL('./sandbox.child.ts', import.meta.url))

/** Where the engine's packages are, and where they are looked up. */
const { resolve } = createRequire(import.meta.url)
const variant = resolve('@jitl/quickjs-wasmfile-release-sync')
const packages = [
  resolve('quickjs-emscripten-core'),
  variant,
  createRequire(variant).resolve('@jitl/quickjs-ffi-types'),
]
const readable = [
  childFile,
  fileURLToPath(new URL('../node_modules/', import.meta.url)),
  ...packages.map((file) => file.replace(/(.*[\\/]node_modules[\\/]).*/, '$1')),
]
/** Node's options for the process. Its permissions know nothing of the network: only the engine keeps programs off that. */
export const sandboxFlags = [
  '--permission',
  '--max-old-space-size=64',
  ...readable.map((path) => `--allow-fs-read=${path}`),
]
