import { defineConfig } from 'tsup'
import { modules } from '../../tsup.modules.ts'

export default defineConfig({
  ...modules,
  dts: {
    entry: {
      index: 'src/index.ts',
      node: 'src/node.ts',
      'store/sqlite': 'src/store/sqlite.ts',
      'testing/index': 'src/testing/index.ts',
    },
  },
})
