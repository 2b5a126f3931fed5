/** What was promised and charged, by the hour: for the limit per day, and for looking back. Pure but for the page. */
import type { Page, View } from './Book.ts'
import type { HourRecord } from './records.ts'

/** Adds to the hour that it is. */
export function add(page: Page, now: number, amounts: { promised?: bigint; charged?: bigint }): void {
  const { promised = 0n, charged = 0n } = amounts
  if (promised === 0n && charged === 0n) return
  const hour = hourOf(now)
  const before = page.get('hour', hour) ?? { hour, promised: 0n, charged: 0n }
  page.put('hour', hour, {
    hour,
    promised: before.promised + promised,
    charged: before.charged + charged,
  })
}

/** What was newly promised on this UTC day. */
export function today(view: View, now: number): bigint {
  return since(view, startOfDay(now)).promised
}

/** The sums from an instant on (Unix milliseconds), from the beginning of its hour. */
export function since(view: View, from: number): Pick<HourRecord, 'promised' | 'charged'> {
  const first = hourOf(from)
  const sum = { promised: 0n, charged: 0n }
  for (const { hour, promised, charged } of view.list('hour')) {
    if (hour < first) continue
    sum.promised += promised
    sum.charged += charged
  }
  return sum
}

function hourOf(now: number): string {
  return new Date(now).toISOString().slice(0, 13)
}

function startOfDay(now: number): number {
  return Date.parse(`${new Date(now).toISOString().slice(0, 10)}T00:00:00Z`)
}
