/** The secp256k1 library, its choice and its accounts survive every way of building: ESM, CommonJS, and a browser's bundle. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const entry = root('packages/keys/src/index.ts')

/** Inside the package, so that its dependencies are found as they are from `dist`. */
let folder: string
beforeAll(() => {
  const cache = root('packages/keys/node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  folder = mkdtempSync(join(cache, 'bundles-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function bundle(options: BuildOptions) {
  const { metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    target: 'es2023',
    alias: { '@drain/core': root('packages/core/src/index.ts') },
    logLevel: 'silent',
    metafile: true,
    ...options,
  })
  if (!metafile) throw new Error('no metafile')
  return metafile
}

test.each([
  ['esm', 'mjs', "const { selectSecp256k1 } = await import('./esm.mjs')"],
  ['cjs', 'cjs', "const { selectSecp256k1 } = require('./cjs.cjs')"],
] as const)('%s: native at once, WebAssembly on request', async (format, extension, load) => {
  const outfile = join(folder, `${format}.${extension}`)
  await bundle({ format, platform: 'node', outfile, external: ['@bitauth/libauth/*'] })
  const script = `
    ${load}
    const wasm = selectSecp256k1('wasm')
    wasm.ready().then(() => console.log(selectSecp256k1().name, wasm.name))`
  const input = format === 'cjs' ? 'commonjs' : 'module'
  const options = [`--input-type=${input}`, '--eval', script]
  expect(execFileSync(process.execPath, options, { cwd: folder, encoding: 'utf8' }).trim()).toBe(
    'native wasm',
  )
})

test('a browser gets no native code, and WebAssembly in a part of its own', async () => {
  const outdir = join(folder, 'browser')
  const metafile = await bundle({ format: 'esm', platform: 'browser', splitting: true, outdir })
  const first = Object.entries(metafile.outputs).find(([, { entryPoint }]) =>
    entryPoint?.endsWith('keys/src/index.ts'),
  )
  const inputs = Object.keys(first?.[1].inputs ?? {})
  expect(inputs.length).toBeGreaterThan(0)
  expect(inputs.filter((path) => /libauth|elliptic|node_modules\/secp256k1/.test(path))).toEqual([])
  expect(
    Object.keys(metafile.inputs).filter((path) => /elliptic|node_modules\/secp256k1/.test(path)),
  ).toEqual([])
  const later = first?.[1].imports.filter(({ kind }) => kind === 'dynamic-import') ?? []
  expect(later.map(({ external }) => external ?? false)).toEqual([false])
  const [{ path: wasm } = { path: '' }] = later
  expect(metafile.outputs[wasm]?.bytes).toBeLessThan(700_000)

  // Run as a browser runs it: without anything of Node's.
  const script = `
    delete globalThis.process
    const { localAccount, selectSecp256k1 } = await import('./browser/index.js')
    const chosen = selectSecp256k1()
    await chosen.ready()
    const account = localAccount('0x${'07'.repeat(32)}')
    const sign = () => account.sign({ hash: '0x${'11'.repeat(32)}' })
    const early = await sign()
    await account.ready()
    console.log(chosen.name, early === await sign())`
  const options = ['--input-type=module', '--eval', script]
  expect(execFileSync(process.execPath, options, { cwd: folder, encoding: 'utf8' }).trim()).toBe('wasm true')
})
