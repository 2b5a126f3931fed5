import { accounting } from './accounting.ts'
import { capture } from './capture.ts'
import { claiming } from './claiming.ts'
import { closing } from './closing.ts'
import { histories } from './histories.ts'
import { hold } from './hold.ts'
import { idempotency } from './idempotency.ts'
import { listing } from './listing.ts'
import { notebook } from './notebook.ts'
import { pruning } from './pruning.ts'
import { raise } from './raise.ts'
import { reserve } from './reserve.ts'
import { createSetting, type OpenLedger } from './Setting.ts'

export { durability, type LastingStore } from './durability.ts'
export { processes } from './processes.ts'
export type { Clock, OpenLedger, OpenOptions } from './Setting.ts'

/** What every store must do. `runs`: how many random histories to compare with the model. */
export function conformance(open: OpenLedger, { runs }: { runs: number }): void {
  const setting = createSetting(open)
  reserve(setting)
  raise(setting)
  capture(setting)
  hold(setting)
  idempotency(setting)
  closing(setting)
  claiming(setting)
  accounting(setting)
  listing(setting)
  notebook(setting)
  pruning(setting)
  histories(setting, runs)
}
