import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    cli: 'src/cli/index.ts',
    postgres: 'src/ledger/postgres.ts',
    sqlite: 'src/ledger/sqlite.ts',
    express: 'src/http/express.ts',
    fastify: 'src/http/fastify.ts',
    hono: 'src/http/hono.ts',
    node: 'src/http/node.ts',
    noPrometheus: 'src/observe/noPrometheus.ts',
  },
  format: ['esm', 'cjs'],
  target: 'es2023',
  dts: true,
  define: { __DRAIN_PROVIDER_VERSION__: JSON.stringify(version) },
  sourcemap: true,
  clean: true,
  // tsup bundles what is no plain dependency; these are optional or native.
  external: ['better-sqlite3', 'pg'],
})
