/** The numbers of the score, in one place: the code computes with them, and the text about it prints them. */
import { Usdc } from '@drain/core'

/** How much of the probes' part is which. */
export const weights = { reachability: 0.4, correctness: 0.4, latency: 0.2 } as const
/** As many probes as are taken for granted, half of them good, before there are any. */
export const priorProbes = 12
/** Milliseconds up to which an answer is as good as can be, and from which it is worth nothing. */
export const bestLatencyMs = 500
export const worstLatencyMs = 10_000
/** What nothing known weighs against reports, in base units of USDC. */
export const priorMoney = Usdc.parse('1')
/** What remains of a provider's probes when everything speaks against it: `floor / (floor + 1)` of them. */
export const floor = 0.25
/** Milliseconds after which a report counts no more. */
export const reportsCountMs = 90 * 24 * 3_600_000
/** Scores that differ by less are left as they are. */
export const leastChange = 0.0001
