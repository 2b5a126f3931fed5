/**
 * Runs benchmarks: `npm run bench`, `npm run bench -- verify http ledger settle consumer mpp directory`, `--quick` for a look that is not recorded.
 *
 * Figures are merged into `results.json`, flat and numeric, and into the README; those of suites that did not run stay. How each is
 * measured: `README.md`.
 */
import { record } from './record.ts'

/** What a suite exports: it prints its table and returns its figures. */
type Suite = { run(options: { quick?: boolean }): Promise<Record<string, number>> }

const standard = ['verify', 'http', 'ledger', 'settle', 'consumer', 'mpp', 'directory']
const onDemand = ['profile']

const words = process.argv.slice(2)
const quick = words.includes('--quick')
const named = words.filter((word) => word !== '--quick')
const unknown = named.filter((name) => ![...standard, ...onDemand].includes(name))
if (unknown.length > 0) {
  console.error(
    `Unknown: ${unknown.join(', ')}. Suites: ${[...standard, ...onDemand].join(', ')}; option: --quick.`,
  )
  process.exit(2)
}

for (const name of named.length > 0 ? named : standard) {
  console.log(`\n# ${name}${quick ? ' (quick)' : ''}\n`)
  const { run } = (await import(`./${name}.ts`)) as Suite
  const figures = await run({ quick })
  if (quick) continue
  // After each suite, so that a later one that fails takes nothing away.
  record(figures)
}
if (quick) console.log('\nA quick run is not recorded.')
