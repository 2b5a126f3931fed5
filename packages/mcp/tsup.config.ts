import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'tsup'
import { licensesOf } from './licenses.ts'

const { version, optionalDependencies } = JSON.parse(
  readFileSync(new URL('package.json', import.meta.url), 'utf8'),
)

/** One program with all that it uses in it, but for what is native: `npx` has nothing else to fetch or to resolve. */
export default defineConfig({
  entry: { cli: 'src/cli/index.ts' },
  format: ['esm'],
  target: 'es2023',
  platform: 'node',
  define: { __DRAIN_MCP_VERSION__: JSON.stringify(version) },
  noExternal: [/.*/],
  external: Object.keys(optionalDependencies),
  // What is CommonJS among it asks for Node's own modules in its own way.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)",
  },
  minifySyntax: true,
  minifyWhitespace: true,
  metafile: true,
  clean: true,
  async onSuccess() {
    const metafile = 'dist/metafile-esm.json'
    writeFileSync('dist/LICENSES.txt', licensesOf(metafile, fileURLToPath(new URL('.', import.meta.url))))
    rmSync(metafile)
  },
})
