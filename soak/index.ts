/** `npm run soak -- --minutes 60 --seed 1 --consumers 100`. Exits with 1 when the books don't balance. */
import './sources.ts'
import { parseArgs } from 'node:util'

const { soak } = await import('./soak.ts')
const { table } = await import('./table.ts')

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    consumers: { type: 'string', default: '100' },
  },
})
const [minutes, seed, consumers] = [values.minutes, values.seed, values.consumers].map(Number)
if (!minutes || seed === undefined || !Number.isSafeInteger(seed) || !consumers) {
  console.error('Usage: npm run soak -- [--minutes 60] [--seed <whole number>] [--consumers 100]')
  process.exit(2)
}

const report = await soak({
  ...{ minutes, seed, consumers },
  gap: { from: 1_000, to: 8_000 },
  print: (line) => console.log(line),
})
console.log(table(report))
console.log(
  `seed ${seed}: ${report.problems.length === 0 ? 'the books balance' : 'THE BOOKS DO NOT BALANCE'}`,
)
process.exit(report.problems.length === 0 ? 0 : 1)
