import type { Ledger } from './Ledger.ts'

/** Drops what can't matter any more, every now and then. `stop` waits for what runs. */
export function startPruning(
  ledger: Pick<Ledger, 'prune'>,
  { everyMs = 60 * 60 * 1_000, log }: { everyMs?: number | undefined; log: (message: string) => void },
): { stop(): Promise<void> } {
  let running: Promise<void> | undefined
  const timer = setInterval(() => {
    running ??= ledger.prune().then(
      ({ channels, outcomes }) => {
        running = undefined
        if (channels + outcomes > 0)
          log(`forgot ${channels} channels that are over and ${outcomes} kept answers`)
      },
      () => {
        running = undefined
        log('the ledger could not be pruned')
      },
    )
  }, everyMs)
  if (typeof timer === 'object') timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
