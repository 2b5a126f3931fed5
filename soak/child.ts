/** What the provider's processes have in common: their input, and the run's clock, which leaps ahead of the machine's. */
import './sources.ts'
import type { ProcessInput } from './settings.ts'

const machine = Date.now
export const input: ProcessInput = JSON.parse(process.argv[2] ?? '')
let { aheadMs } = input
Date.now = () => machine() + aheadMs

let leaptAt = Number.NEGATIVE_INFINITY

/** When the run's clock leapt the last time, by `performance.now()`. */
export const lastLeap = (): number => leaptAt

process.on('message', (message: { aheadMs: number }) => {
  if (message.aheadMs - aheadMs > 5_000) leaptAt = performance.now()
  aheadMs = message.aheadMs
})
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))

export function tellReady(port = 0): void {
  process.send?.({ port })
}
