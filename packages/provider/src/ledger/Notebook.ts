/**
 * Small texts under keys, as durable as the ledger that keeps them: what has to be remembered beside the channels.
 *
 * Keys are printable ASCII, 1 to 200 characters, in the order of their bytes. Texts take at most 1 MiB in UTF-8 and have no
 * NUL and no half of a surrogate pair, which not every store could keep.
 */
export interface Notebook {
  /**
   * One atomic step on one note, durable when it resolves: nobody else, in this process or another, changes the note in
   * between. Steps on one note from one process happen in the order of their calls.
   *
   * `decide` is pure and may be called again. If it throws, nothing is written and the promise rejects with its error.
   *
   * @example
   * ```ts
   * // Only one of several processes gets `true`.
   * await notebook.write('tx/0xaa/7', (text) => (text === undefined ? { result: true, write: raw } : { result: false }))
   * ```
   * @throws LedgerUsageError when the key or the text is none that can be kept. Nothing is written.
   * @throws LedgerUnavailableError when the store fails; whether it was written is then open.
   */
  write<result>(key: string, decide: DecideNote<result>): Promise<result>

  /**
   * The notes whose keys start with `prefix` ('': all), in the order of their keys, from the key `from` on (inclusive).
   * Read in portions: what changes meanwhile may be seen or not.
   * @throws LedgerUsageError when `prefix` or `from` is not printable ASCII of at most 200 characters.
   */
  read(prefix: string, options?: { from?: string | undefined }): AsyncIterable<Note>
}

export type Note = { key: string; text: string }

/** Looks at a note (undefined: there is none) and at the store's clock in milliseconds, and says what becomes of it. */
export type DecideNote<result> = (text: string | undefined, now: number) => NoteDecision<result>

/** `write`: the new text; null removes the note; undefined leaves it as it is. */
export type NoteDecision<result> = { result: result; write?: string | null | undefined }
