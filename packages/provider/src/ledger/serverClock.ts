/**
 * The clock of a server that is asked now and then. In between the local one counts on, and it can't be set; so the time is
 * behind the server's by a message's way, never ahead, and no lease ends before its time.
 */
export function serverClock() {
  let offset = Date.now() - performance.now()
  return {
    /** Takes what the server's clock said, in milliseconds, as its answer arrives. */
    observe(serverMs: number): void {
      offset = serverMs - performance.now()
    },
    /** Milliseconds, whole. */
    now: () => Math.floor(performance.now() + offset),
  }
}
