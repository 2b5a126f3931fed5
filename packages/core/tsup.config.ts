import { defineConfig } from 'tsup'
import { modules } from '../../tsup.modules.ts'

export default defineConfig({ ...modules, dts: { entry: 'src/index.ts' } })
