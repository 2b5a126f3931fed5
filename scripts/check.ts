/**
 * Everything but the tests that must hold before a change lands: formatting, lint, types, generated files, package
 * exports, and a demo that ends well. Each is one check; the counts go to `.reports/check.json`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type Counts, finish, none, stream } from './counts.ts'

const packages = readdirSync(new URL('../packages/', import.meta.url), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => `packages/${name}`)

const commands: [name: string, command: string, ...args: string[]][] = [
  ['format and lint (TypeScript)', 'biome', 'ci', '.'],
  ['format (Solidity)', 'node', 'scripts/forge.ts', 'fmt', '--check'],
  [
    'forge test works from contracts/ too',
    'bash',
    '-c',
    "cd contracts && forge test --match-contract ConstructorTest | tee /dev/stderr | grep -q ' passed, 0 failed'",
  ],
  ['types', 'tsc', '--project', '.'],
  ['ABI and bytecode are current', 'node', 'scripts/codegen.ts', '--check'],
  ['vectors are current', 'node', 'vectors/generate.ts', '--check'],
  ['USDC fixture is current', 'node', 'scripts/usdc-fixture.ts', '--check'],
  ['gas is as committed', 'node', 'scripts/gas.ts', '--check'],
  ['a local deployment', 'node', 'scripts/deploy-local.ts'],
  ['dependency directions', 'node', 'scripts/check-imports.ts'],
  ['size of the client in a page', 'node', 'scripts/size.ts'],
  ...packages.flatMap((path): [string, string, ...string[]][] => [
    [`exports of ${path} (publint)`, 'publint', '--strict', path],
    [`types of ${path} (attw)`, 'attw', '--pack', path, '--profile', profileOf(path)],
  ]),
]

/** Servers are ES modules only; what apps import is CommonJS, too. */
function profileOf(path: string): string {
  const { main } = JSON.parse(readFileSync(new URL(`../${path}/package.json`, import.meta.url), 'utf8'))
  return main?.endsWith('.js') ? 'esm-only' : 'node16'
}

const results: Counts[] = []
function report(name: string, ok: boolean): void {
  console.log(`${ok ? 'ok     ' : 'FAILED '} ${name}`)
  results.push(ok ? { ...none, passed: 1 } : { ...none, failed: 1, failures: [name] })
}

for (const [name, command, ...args] of commands) {
  console.log(`--- ${name}: ${command} ${args.join(' ')}`)
  report(name, (await stream(command, args)).status === 0)
}

console.log('--- demo')
const { status, output } = await stream('node', ['examples/demo/src/index.ts', '--json'])
report('the demo ends well', status === 0 && isBalanced(output.trim().split('\n').at(-1) ?? ''))

for (const [name, script] of [
  ['an agent', 'agent'],
  ['a market', 'market'],
]) {
  console.log(`--- demo of ${name}`)
  const session = await stream('node', [`examples/demo/src/${script}.ts`, '--json'], { quiet: true })
  if (session.status !== 0) console.log(session.output)
  report(`the demo of ${name} ends well`, session.status === 0)
}

finish('check', results)

function isBalanced(line: string): boolean {
  try {
    const demo = JSON.parse(line)
    return (
      demo.requests === 1000 &&
      demo.streamed === 100 &&
      demo.transactions <= 3 &&
      demo.charged === demo.claimed &&
      BigInt(demo.refunded) === BigInt(demo.deposited) - BigInt(demo.charged)
    )
  } catch {
    return false
  }
}
