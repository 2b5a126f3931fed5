import { describe, test } from 'vitest'
import type { ClientStore } from '../ClientStore.ts'
import type { Case } from './cases.ts'

export { lasting } from './lasting.ts'
export { shared } from './shared.ts'
export { steps } from './steps.ts'

/** Runs the cases on stores of one kind. `place`: where none is yet. */
export function conformance<place>(
  title: string,
  cases: readonly Case[],
  { place, open }: { place: () => place; open: (place: place) => ClientStore },
): void {
  describe(title, () => {
    test.each(cases)('$title', async ({ run }) => {
      const at = place()
      const opened: ClientStore[] = []
      try {
        await run({
          open() {
            const store = open(at)
            opened.push(store)
            return store
          },
        })
      } finally {
        for (const store of opened) await store.close()
      }
    })
  })
}
