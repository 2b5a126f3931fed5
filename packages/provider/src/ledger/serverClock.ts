/**
 * The clock of a server that is asked now and then. In between the local one counts on, and it can't be set; so the time is
 * behind the server's by a message's way, and no lease ends before its time.
 */
export function serverClock() {
  let offset: number | undefined
  return {
    /**
     * Takes what the server's clock said, in milliseconds, as its answer arrives to what was asked at `askedAt` of
     * `performance.now()`. A statement may look at the clock and then wait, for a lock or the disk: an answer that is late
     * says that the time is later than that, never that it was set back.
     */
    observe(serverMs: number, askedAt: number): void {
      const earliest = serverMs - performance.now()
      const latest = serverMs + 1 - askedAt
      if (offset === undefined || offset < earliest || offset > latest) offset = earliest
    },
    /** Milliseconds, whole. Of the local clock before the server was first asked. */
    now: () => Math.floor(performance.now() + (offset ?? Date.now() - performance.now())),
  }
}
