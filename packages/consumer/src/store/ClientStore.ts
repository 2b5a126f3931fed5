/** One small text under a key. */
export type Entry = { key: string; text: string }

/** What an entry becomes. `text: null` removes it. */
export type Write = { key: string; text: string | null }

/**
 * Says what to write, from what others have written. Synchronous and without effects of its own outside of the client's memory: it may be called
 * again when a transaction has to be repeated. Of several writes to one key the last one counts.
 */
export type Decide = (changes: readonly Write[]) => readonly Write[]

/**
 * Where a client keeps what it must not forget: its channels, their nonces and amounts. Several clients, and with most stores several
 * processes or tabs, may share one.
 */
export type ClientStore = {
  /**
   * One step, alone among all users of this store.
   *
   * `decide` is given what was written after `since`, a revision that an earlier step returned (0: all there is), sorted by
   * key; what was removed has `text: null`. What it returns is on the disk, all of it, when the promise resolves with the
   * new revision, which covers these writes too: whoever asks from there on isn't told of them. Steps take place in the
   * order in which they were asked for. If `decide` throws, nothing is written and the promise rejects with its error.
   *
   * A removed entry leaves its key behind, so that others learn of it: don't use keys by the million.
   *
   * @throws {StoreUnavailableError} The disk is full or failing, the store is closed, or its content was replaced. It is most likely,
   * but not certain, that nothing was written: send nothing.
   */
  step(since: number, decide: Decide): Promise<number>
  /**
   * A session's private key as a text that may be kept in this store. In a browser only this browser can unseal it; in Node
   * the file's permissions (0600) are its protection.
   */
  seal(secret: Uint8Array): Promise<string>
  /** @throws {SealError} The text is damaged or was sealed elsewhere. */
  unseal(text: string): Promise<Uint8Array>
  /** Finishes the steps that were asked for, refuses others, and lets other users have the store. */
  close(): Promise<void>
}
