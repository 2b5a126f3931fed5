/**
 * Imports point one way: `core ← keys ← consumer, provider ← mpp ← sdk`, `mcp → consumer, mpp`, `directory → core, keys`, and nothing imports an example. The core does no I/O and
 * has no clock.
 */
import { globSync, readFileSync } from 'node:fs'

const mayImport: Record<string, readonly string[]> = {
  core: [],
  keys: ['@drain/core'],
  consumer: ['@drain/core', '@drain/keys'],
  provider: ['@drain/core', '@drain/keys'],
  mpp: ['@drain/core', '@drain/consumer', '@drain/provider'],
  mcp: ['@drain/core', '@drain/keys', '@drain/consumer', '@drain/mpp'],
  directory: ['@drain/core', '@drain/keys'],
  sdk: ['@drain/core', '@drain/keys', '@drain/consumer', '@drain/provider'],
}

/** What the directory's pages run in a browser is bundled, and pays with the client. */
const inPages: readonly string[] = ['@drain/core', '@drain/consumer']

const problems: string[] = []
for (const file of globSync('packages/*/src/**/*.ts')) {
  if (/\.(test|bench|fuzz\.test|test-d|fixture)\.ts$/.test(file)) continue
  const [, name = ''] = file.split('/')
  const source = readFileSync(file, 'utf8')
  for (const [, imported = ''] of source.matchAll(/^(?:import|export|\}).*from '(@drain[^']*)'/gm)) {
    const target = imported.split('/').slice(0, 2).join('/')
    const isPage = file.includes('directory/src/web/scripts/')
    const allowed = isPage ? inPages : mayImport[name]
    if (!allowed?.includes(target)) problems.push(`${file} imports ${imported}`)
  }
  if (name === 'core' && /from 'node:|\bfetch\(|Date\.now|setTimeout|new Date\(/.test(source)) {
    problems.push(`${file} is not pure`)
  }
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
