import type { Database } from 'better-sqlite3'
import type { Note } from './Notebook.ts'

/** Apart from the other tables: ledgers of version 2 don't have it. */
export const notesSchema =
  'CREATE TABLE notes (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;'

/** How much is read in one go: some milliseconds. */
const [mostNotes, mostCharacters] = [1000, 1024 * 1024]

/** Reads and writes the notes of the ledger. Keys are compared by their bytes, as SQLite does by itself. */
export function sqliteNotes(database: Database) {
  const select = database.prepare<[string], string>('SELECT text FROM notes WHERE key = ?').pluck()
  const put = database.prepare<[string, string]>(
    'INSERT INTO notes (key, text) VALUES (?, ?) ON CONFLICT DO UPDATE SET text = excluded.text',
  )
  const remove = database.prepare<[string]>('DELETE FROM notes WHERE key = ?')
  const selectRange = database.prepare<[string, string, number], Note>(
    'SELECT key, text FROM notes WHERE key >= ? AND key < ? ORDER BY key LIMIT ?',
  )

  return {
    text: (key: string): string | undefined => select.get(key),

    /** `null` removes the note. */
    put(key: string, text: string | null): void {
      if (text === null) remove.run(key)
      else put.run(key, text)
    },

    /** The first notes of a range. */
    portion(from: string, until: string): Note[] {
      const notes: Note[] = []
      let characters = 0
      for (const note of selectRange.iterate(from, until, mostNotes)) {
        notes.push(note)
        characters += note.text.length
        if (characters >= mostCharacters) break
      }
      return notes
    },
  }
}
