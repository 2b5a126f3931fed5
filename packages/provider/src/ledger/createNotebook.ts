import { LedgerUsageError } from './Errors.ts'
import type { LedgerStore } from './LedgerStore.ts'
import type { Note, Notebook, NoteDecision } from './Notebook.ts'

const longestKey = 200
const mostBytes = 1024 * 1024

/** The notebook over a store: checks what is asked of it. */
export function createNotebook(store: Pick<LedgerStore, 'writeNote' | 'notes'>): Notebook {
  return {
    async write(key, decide) {
      checkKey(key)
      type Ending = { value: ReturnType<typeof decide>['result'] } | { error: unknown }
      // A store would take an error for its own.
      const ending = await store.writeNote(key, (text, now): NoteDecision<Ending> => {
        try {
          const { result, write } = decide(text, now)
          if (typeof write === 'string') checkText(key, write)
          const isChanged = write !== undefined && (write ?? undefined) !== text
          return { result: { value: result }, write: isChanged ? write : undefined }
        } catch (error) {
          return { result: { error } }
        }
      })
      if ('error' in ending) throw ending.error
      return ending.value
    },

    async *read(prefix, { from = '' } = {}) {
      for (const start of [prefix, from]) if (start !== '') checkKey(start)
      // Behind all that begins with the prefix, since no key has this character.
      const until = `${prefix}\x7f`
      for (let start: string | undefined = from > prefix ? from : prefix; start !== undefined; ) {
        const portion: readonly Note[] = await store.notes(start, until)
        yield* portion
        const last = portion.at(-1)
        // The first key that can follow: keys have no lower character than a space.
        start = last && `${last.key} `
      }
    },
  }
}

function checkKey(key: string): void {
  if (!/^[\x20-\x7e]+$/.test(key) || key.length > longestKey)
    throw new LedgerUsageError(
      `"${key.slice(0, 80)}" is no key of a note: printable ASCII, 1 to ${longestKey} characters.`,
    )
}

function checkText(key: string, text: string): void {
  if (text.length > mostBytes || new TextEncoder().encode(text).length > mostBytes)
    throw new LedgerUsageError(`The note ${key} is too long: a text takes at most ${mostBytes} bytes.`)
  if (/[\0\p{Surrogate}]/u.test(text))
    throw new LedgerUsageError(`The note ${key} has a NUL or half of a surrogate pair, which is not text.`)
}
