import { conformance, steps } from './conformance/index.ts'
import { memoryStore } from './memory.ts'

conformance('steps', steps, { place: () => undefined, open: () => memoryStore() })
