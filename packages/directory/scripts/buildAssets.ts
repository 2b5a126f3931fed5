/**
 * Bundles what the pages run in the browser, joins their style, and puts both and the pictures into one folder.
 *
 *   node scripts/buildAssets.ts [folder]        `dist/assets` by default
 *
 * From the sources of the other packages, so that nothing has to be built before.
 */
import { cp, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { joinStyles } from '../src/web/joinStyles.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Each becomes `<name>.js`; what several of them need is in files of its own beside them. */
export const scripts = ['change', 'copy', 'desk', 'register', 'skillBuilder', 'try'] as const

/** @param folder Is made where it isn't there; files of other names stay in it. */
export async function buildAssets(folder: string): Promise<void> {
  const assets = here('../src/web/assets')
  await cp(assets, folder, { recursive: true, filter: (path) => basename(path) !== 'styles' })
  await writeFile(join(folder, 'style.css'), joinStyles(join(assets, 'styles')))
  await build({
    entryPoints: scripts.map((name) => here(`../src/web/scripts/${name}.ts`)),
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    minify: true,
    legalComments: 'none',
    chunkNames: 'chunk-[hash]',
    alias: {
      '@drain/core': here('../../core/src/index.ts'),
      '@drain/keys': here('../../keys/src/index.ts'),
      '@drain/consumer': here('../../consumer/src/index.ts'),
    },
    plugins: [withoutWebAssembly],
  })
}

/** The pages' content policy forbids to compile it, and a page signs a few vouchers only: JavaScript is fast enough for that. */
const withoutWebAssembly: Plugin = {
  name: 'without WebAssembly',
  setup(bundle) {
    // As `browser` in the core's package.json says.
    bundle.onResolve({ filter: /\/keccak256\.ts$/ }, () => ({
      path: here('../../core/src/keccak256.browser.ts'),
    }))
    bundle.onResolve({ filter: /^@bitauth\/libauth/ }, ({ path }) => ({ path, namespace: 'absent' }))
    bundle.onLoad({ filter: /.*/, namespace: 'absent' }, () => ({
      contents: `export function instantiateSecp256k1() { throw new Error('It is left out.') }`,
    }))
  },
}

if (import.meta.main) await buildAssets(process.argv[2] ?? here('../dist/assets'))
