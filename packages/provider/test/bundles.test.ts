/** The thread that recovers signers survives every way of building: ESM and CommonJS. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const entry = root('packages/provider/src/verify/SignerRecovery.ts')

/** Inside the package, so that its dependencies are found as they are from `dist`. */
let folder: string
beforeAll(() => {
  const cache = root('packages/provider/node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  folder = mkdtempSync(join(cache, 'bundles-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function bundle(options: BuildOptions) {
  const { metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    target: 'es2023',
    alias: {
      '@drain/core': root('packages/core/src/index.ts'),
      '@drain/keys': root('packages/keys/src/index.ts'),
    },
    logLevel: 'silent',
    metafile: true,
    ...options,
  })
  if (!metafile) throw new Error('no metafile')
  return metafile
}

test.each([
  ['esm', 'mjs', "const { createSignerRecovery } = await import('./thread.mjs')"],
  ['cjs', 'cjs', "const { createSignerRecovery } = require('./thread.cjs')"],
] as const)(
  '%s: a second thread recovers signers, and ends with the process',
  async (format, extension, load) => {
    const outfile = join(folder, `thread.${extension}`)
    await bundle({ format, platform: 'node', outfile, external: ['@bitauth/libauth/*'] })
    const account = privateKeyToAccount(`0x${'07'.repeat(32)}`)
    const signature = await account.sign({ hash: `0x${'11'.repeat(32)}` })
    const script = `
    ${load}
    const secp256k1 = { name: 'native', recoverPublicKey: () => undefined, sign: () => undefined }
    const signers = createSignerRecovery({ secp256k1, isBusy: () => true, processors: 2 })
    const ask = () => signers.recover(new Uint8Array(32).fill(0x11), '${signature}')
    const timer = setInterval(() => {
      if (ask() === undefined) return // the thread is not up yet
      clearInterval(timer)
      Promise.all([ask(), ask(), ask()]).then((all) => console.log(all.join(' ')))
    }, 5)`
    const input = format === 'cjs' ? 'commonjs' : 'module'
    const options = [`--input-type=${input}`, '--eval', script]
    const printed = execFileSync(process.execPath, options, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 30_000,
    })
    expect(printed.trim()).toBe(Array(3).fill(account.address.toLowerCase()).join(' '))
  },
)
