import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))

export default defineConfig({
  entry: { index: 'src/index.ts', cli: 'src/cli/index.ts' },
  format: ['esm', 'cjs'],
  target: 'es2023',
  dts: { entry: { index: 'src/index.ts' } },
  define: { __DRAIN_MCP_VERSION__: JSON.stringify(version) },
  sourcemap: true,
  clean: true,
})
