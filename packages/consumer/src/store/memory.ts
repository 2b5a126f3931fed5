import type { ClientStore } from './ClientStore.ts'
import { createEntries } from './entries.ts'
import { plainSeal } from './plainSeal.ts'
import { createStepQueue, takeStep } from './stepQueue.ts'

/**
 * A store that lasts as long as the process. Whoever loses it finds the channels again with `client.recover()`, on the chain and at
 * their providers.
 */
export function memoryStore(): ClientStore {
  const entries = createEntries()
  const queue = createStepQueue({
    commit: (steps) => steps.map((step) => takeStep(entries, step)),
    release: () => {},
  })
  return { ...queue, ...plainSeal }
}
