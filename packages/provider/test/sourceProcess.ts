/** Runs a source file of the package as a process of its own, without a build, as the tests run the sources. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const sources = Object.fromEntries(
  Object.entries({
    '@drain/core': 'core/src/index.ts',
    '@drain/consumer': 'consumer/src/index.ts',
    '@drain/consumer/node': 'consumer/src/node.ts',
    '@drain/consumer/sqlite': 'consumer/src/store/sqlite.ts',
    '@drain/keys': 'keys/src/index.ts',
    '@drain/keys/node': 'keys/src/node/index.ts',
    '@drain/mpp': 'mpp/src/index.ts',
    '@drain/mpp/client': 'mpp/src/client/index.ts',
    '@drain/provider': 'provider/src/index.ts',
  }).map(([name, path]) => [name, new URL(`../../${path}`, import.meta.url).href]),
)

const hook = `
  import { registerHooks } from 'node:module'
  const sources = ${JSON.stringify(sources)}
  registerHooks({ resolve: (name, context, next) => next(sources[name] ?? name, context) })`

type Env = Record<string, string | undefined>

export type SourceProcess = {
  child: ChildProcess
  /** What it has written so far. */
  output: { stdout: string; stderr: string }
  /** Resolves with its exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals | null>
}

/** What Node is started with to run a source file of any package. */
export function nodeArguments(file: URL, args: readonly string[] = []): string[] {
  const loader = `data:text/javascript,${encodeURIComponent(hook)}`
  return ['--disable-warning=ExperimentalWarning', '--import', loader, fileURLToPath(file), ...args]
}

/** `path`: beneath this package's `src`. */
export function startSource(path: string, args?: readonly string[], env?: Env): SourceProcess {
  return startSourceFile(new URL(`../src/${path}`, import.meta.url), args, env)
}

/** A source file of any package. */
export function startSourceFile(file: URL, args: readonly string[] = [], env: Env = {}): SourceProcess {
  const child = spawn(process.execPath, nodeArguments(file, args), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
  return { child, output, ended }
}
