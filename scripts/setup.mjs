/**
 * Sets everything up on a machine with Node and npm only, then runs a task: `node scripts/setup.mjs test`.
 *
 * Plain JavaScript without dependencies, since it runs before there are any, on Node 20 and newer. It installs pnpm and
 * the workspace (Node 24, Foundry and the compiler among it) and builds the packages.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = join(root, 'node_modules', '.bin')
const env = {
  ...process.env,
  PATH: `${bin}${delimiter}${process.env.PATH}`,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
}

const tasks = {
  test: 'scripts/test.ts',
  check: 'scripts/check.ts',
  demo: 'examples/demo/src/index.ts',
  'demo:agent': 'examples/demo/src/agent.ts',
  'demo:market': 'examples/demo/src/market.ts',
  directory: 'examples/market/src/index.ts',
  gas: 'scripts/gas.ts',
  bench: 'bench/index.ts',
  soak: 'soak/index.ts',
  'deploy:local': 'scripts/deploy-local.ts',
}

const [task, ...args] = process.argv.slice(2)
const script = Object.hasOwn(tasks, task ?? '') ? tasks[task] : undefined
if (!script) {
  console.error(`Usage: node scripts/setup.mjs ${Object.keys(tasks).join('|')} [options]`)
  process.exit(2)
}

const startedAt = Date.now()
install()
step('packages', [
  'turbo',
  'run',
  'build',
  '--filter=./packages/*',
  '--output-logs=errors-only',
  '--no-update-notifier',
])
console.error(`set up in ${((Date.now() - startedAt) / 1000).toFixed(0)} s`)
process.exit(run(['node', join(root, script), ...args], 'inherit').status ?? 1)

/** Installs the workspace unless it already is as the lockfile says. */
function install() {
  const stamp = join(root, 'node_modules', '.drain-setup')
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  const { pnpm } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies
  const command = existsSync(join(bin, 'pnpm')) ? ['pnpm'] : ['npx', '--yes', `pnpm@${pnpm}`]
  step('dependencies', [...command, 'install', '--frozen-lockfile'])
  writeFileSync(stamp, wanted)
}

/** Runs one step of the set-up; its output is shown when it fails. */
function step(name, command) {
  console.error(`setting up ${name} …`)
  const { status, stdout, stderr, error } = run(command, 'pipe')
  if (status === 0) return
  console.error(`${stdout ?? ''}${stderr ?? ''}${error ?? ''}`)
  console.error(`Setting up ${name} failed: ${command.join(' ')}`)
  process.exit(status || 1)
}

function run([command, ...rest], stdio) {
  return spawnSync(command, rest, { cwd: root, env, stdio, encoding: 'utf8', maxBuffer: 2 ** 28 })
}
