import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts' },
  format: ['esm'],
  target: 'es2023',
  dts: { entry: 'src/index.ts' },
  sourcemap: true,
  clean: true,
  external: ['better-sqlite3', 'pg'],
})
