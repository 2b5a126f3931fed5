import { defineConfig } from 'tsup'
import { modules } from '../../tsup.modules.ts'

export default defineConfig({
  ...modules,
  dts: {
    entry: {
      index: 'src/index.ts',
      'client/index': 'src/client/index.ts',
      'server/index': 'src/server/index.ts',
    },
  },
})
