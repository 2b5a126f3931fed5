/**
 * What a page loads on top of viem when it imports the client: measured on the built packages with Vite's bundler, as the
 * sum of the gzipped files. What opens, closes and recovers channels is loaded when it is needed, and so is WebAssembly.
 *
 *   node scripts/size.ts           fails above the limit, and where anything of Node is in it
 */
import { realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type OutputChunk, rolldown } from 'rolldown'

/** Bytes. */
const limit = 25_000
const root = join(import.meta.dirname, '..')
/** What belongs to viem: its own curves are the very same version, see {@link assertSameCurves}. */
const ofViem = [/^viem(\/|$)/, /^@noble\/(curves|hashes)\//]
/** What may not get into a page. */
const ofNode = /consumer\/dist\/(cli|testing|node)\b|\/store\/(file|sqlite)|better-sqlite3|keys\/dist\/node/

const problems: string[] = []
assertSameCurves()
const chunks = await bundle()
const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]))
const atOnce = new Set<OutputChunk>()
for (const chunk of chunks) if (chunk.isEntry) reach(chunk)
const isWasm = ({ moduleIds }: OutputChunk) => moduleIds.some((id) => id.includes('@bitauth'))
const later = chunks.filter((chunk) => !atOnce.has(chunk))

for (const { fileName, imports, dynamicImports, moduleIds } of chunks) {
  for (const id of moduleIds) if (ofNode.test(id)) problems.push(`${fileName} has ${relative(root, id)}`)
  for (const id of [...imports, ...dynamicImports]) {
    if (!byName.has(id) && !ofViem.some((name) => name.test(id))) problems.push(`${fileName} imports ${id}`)
  }
}
const size = sum([...atOnce])
if ([...atOnce].some(isWasm)) problems.push('WebAssembly is loaded at once')
if (size > limit) problems.push(`the import costs ${size} bytes, the limit is ${limit}`)
console.log(`at once ${size} bytes gzipped, of ${limit}`)
console.log(`when it is needed ${sum(later.filter((chunk) => !isWasm(chunk)))} more`)
console.log(`WebAssembly ${sum(later.filter(isWasm))}`)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0

async function bundle(): Promise<OutputChunk[]> {
  // In the package, so that its name is found as an app finds it.
  const entry = join(root, 'packages/consumer/dist/.size.js')
  const names = '{ createDrainClient, indexedDbStore }'
  writeFileSync(entry, `import ${names} from '@drain/consumer'\nglobalThis.drain = ${names}\n`)
  try {
    const bundled = await rolldown({
      input: entry,
      platform: 'browser',
      external: ofViem,
      // As in a page, which exports nothing: what two files need is in the one that is loaded first.
      preserveEntrySignatures: false,
    })
    const { output } = await bundled.generate({ format: 'esm', minify: true })
    return output.filter((file) => file.type === 'chunk')
  } finally {
    rmSync(entry)
  }
}

/** A chunk and all that it imports are loaded together. */
function reach(chunk: OutputChunk): void {
  if (atOnce.has(chunk)) return
  atOnce.add(chunk)
  for (const name of chunk.imports) {
    const imported = byName.get(name)
    if (imported) reach(imported)
  }
}

function sum(files: OutputChunk[]): number {
  return files.reduce((total, { code }) => total + gzipSync(code, { level: 9 }).length, 0)
}

/** Two versions would be loaded twice. */
function assertSameCurves(): void {
  const [own, viems] = ['packages/core/package.json', 'node_modules/viem/package.json'].map((from) =>
    createRequire(realpathSync(join(root, from))).resolve('@noble/curves/secp256k1'),
  )
  if (own !== viems) problems.push(`@drain/core has ${own}, and viem ${viems}`)
}
