import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts', 'testing/index': 'src/testing/index.ts' },
  format: ['esm', 'cjs'],
  dts: true,
  target: 'es2023',
  clean: true,
  // Two small entries that share nothing: chunks would only hide which one imports Node.
  splitting: false,
})
