import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    sqlite: 'src/ledger/sqlite.ts',
    express: 'src/http/express.ts',
    hono: 'src/http/hono.ts',
  },
  format: ['esm', 'cjs'],
  target: 'es2023',
  dts: true,
  sourcemap: true,
  clean: true,
  // tsup bundles what is no plain dependency; this one is native.
  external: ['better-sqlite3'],
})
