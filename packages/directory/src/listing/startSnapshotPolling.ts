/** Takes in what other instances have written. */
import type { Rooms } from '../Rooms.ts'

const every = 1_000

export function startSnapshotPolling({ snapshot, log }: Pick<Rooms, 'snapshot' | 'log'>): {
  stop(): Promise<void>
} {
  let running: Promise<void> = Promise.resolve()
  let isStopped = false
  let timer = setTimeout(poll, every)

  function poll(): void {
    running = snapshot
      .refresh()
      .catch((error) => log.error({ err: error }, 'the database could not be read: the list is not of now'))
      .finally(() => {
        if (!isStopped) timer = setTimeout(poll, every)
      })
  }

  return {
    stop() {
      isStopped = true
      clearTimeout(timer)
      return running
    },
  }
}
