import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    cli: 'src/cli/index.ts',
    postgres: 'src/store/postgres.ts',
    sqlite: 'src/store/sqlite.ts',
  },
  format: ['esm'],
  target: 'es2023',
  dts: true,
  sourcemap: true,
  clean: true,
  external: ['better-sqlite3', 'pg'],
})
