import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

/** A running anvil. */
export type Anvil = {
  rpcUrl: string
  /** Stops it; resolves when the process is gone. */
  close(): Promise<void>
}

/**
 * Starts anvil on a free port, and resolves when it listens.
 *
 * It is started through a few lines of Node that end it as soon as this process's end of a pipe closes: so it goes
 * however this process ends, `kill -9` and a crashed test worker included.
 *
 * @throws When there is no anvil, or it stops before it listens.
 */
export async function startAnvil(args: readonly string[] = []): Promise<Anvil> {
  const child = spawn(
    process.execPath,
    ['-e', guard, findAnvil(), '--host', '127.0.0.1', '--port', '0', ...args],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  // Neither the process nor its pipes keep a finished test or script alive.
  child.unref()
  const output: string[] = []
  child.stderr.on('data', (data: Buffer) => output.push(data.toString()))

  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const port = await new Promise<string>((resolve, reject) => {
    const lines = createInterface(child.stdout)
    lines.on('line', (line) => {
      const listening = /^Listening on [^ ]*:([0-9]+)$/.exec(line)
      if (listening?.[1]) resolve(listening[1])
    })
    exited.then(() =>
      reject(
        new Error(
          `anvil did not start. Install the package @foundry-rs/anvil, or Foundry on PATH.\n${output.join('')}`,
        ),
      ),
    )
  })
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as { unref?: () => void }).unref?.()

  return {
    rpcUrl: `http://127.0.0.1:${port}`,
    async close() {
      child.ref()
      child.stdin.end()
      await exited
    },
  }
}

/** Runs argv[1] and the rest; ends it when stdin ends, and ends with it. */
const guard = `
const { spawn } = require('node:child_process')
const [command, ...args] = process.argv.slice(1)
const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
child.on('error', (error) => { console.error(error.message); process.exit(1) })
child.on('exit', (code) => process.exit(code ?? 0))
process.stdin.on('end', () => child.kill('SIGKILL')).on('error', () => child.kill('SIGKILL')).resume()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGKILL'))
`

/** The binary inside the npm package where that is installed (from the working directory up), or the one on PATH. */
function findAnvil(): string {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const binary = process.platform === 'win32' ? 'anvil.exe' : 'anvil'
  try {
    const fromHere = createRequire(join(process.cwd(), 'package.json'))
    const fromPackage = createRequire(fromHere.resolve('@foundry-rs/anvil/package.json'))
    const platform = `@foundry-rs/anvil-${process.platform}-${architecture}/package.json`
    return join(dirname(fromPackage.resolve(platform)), 'bin', binary)
  } catch {
    return binary
  }
}
