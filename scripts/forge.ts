/** Running forge from scripts; on the command line `node scripts/forge.ts fmt --check` does the same. */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { delimiter, join, resolve } from 'node:path'

const root = join(import.meta.dirname, '..')

/** Where forge writes artifacts. */
export const artifacts = resolve(root, process.env.FOUNDRY_OUT ?? 'out')

/**
 * Runs forge in the repository; shows what it printed when it fails.
 *
 * It runs the binary inside the npm package: the launcher that npm puts on PATH exits with 0 whatever forge exits with.
 *
 * @throws When forge fails.
 */
export function forge(args: readonly string[], env: Record<string, string> = {}): void {
  const bin = join(root, 'node_modules/.bin') // the compiler is a script for the workspace's Node
  const { status, stdout, stderr, error } = spawnSync(findForge(), args, {
    cwd: root,
    env: { ...process.env, ...env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (status === 0) return
  throw new Error(`forge ${args.join(' ')} failed\n${stdout ?? ''}${stderr ?? ''}${error ?? ''}`)
}

/** The binary inside the npm package where that is installed, or the one on PATH. */
function findForge(): string {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const binary = process.platform === 'win32' ? 'forge.exe' : 'forge'
  try {
    const fromPackage = createRequire(
      createRequire(join(root, 'package.json')).resolve('@foundry-rs/forge/package.json'),
    )
    const platform = `@foundry-rs/forge-${process.platform}-${architecture}/package.json`
    return join(fromPackage.resolve(platform), '..', 'bin', binary)
  } catch {
    return binary
  }
}

if (import.meta.main) forge(process.argv.slice(2))
