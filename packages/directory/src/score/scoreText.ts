/** How scores are made, for `/docs/score`. */
import { Usdc } from '@drain/core'
import {
  bestLatencyMs,
  floor,
  priorMoney,
  priorProbes,
  reportsCountMs,
  weights,
  worstLatencyMs,
} from './formula.ts'

const seconds = (ms: number) => `${ms / 1_000} s`
const hundredths = (share: number) => share.toFixed(2)
const days = reportsCountMs / 86_400_000
const money = `${Usdc.format(priorMoney)} USDC`

/** Markdown. The numbers are those that the code computes with. */
export const scoreText = `# How scores are made

A score is a number from 0 to 1. It is the product of what probes find (**P**) and what those who paid report (**F**):

\`\`\`
score = P × (${floor} + F) ÷ ${1 + floor}
\`\`\`

A provider that answers all probes and that nobody has reported on yet comes to ${hundredths((floor + 0.5) / (floor + 1))}. With all reports for it, it
comes near 1. With all reports against it, it sinks to ${hundredths(floor / (floor + 1))} however well it answers probes.

## Probes

Every few minutes a prober asks a provider for its prices, its docs and an unpaid request, which must be refused with a proper 402.

\`\`\`
P = ${weights.reachability} × reachability + ${weights.correctness} × correctness + ${weights.latency} × latency
\`\`\`

- **reachability**: of the probes of 7 days, the share that was answered at all.
- **correctness**: of those answered, the share that was correct: same address, valid prices, docs, a proper 402.
- **latency**: 1 for a median of the last day of up to ${seconds(bestLatencyMs)}, 0 from ${seconds(worstLatencyMs)}, and between them in equal steps for
  equal factors.

Each part is pulled toward 0.5 as if there had been ${priorProbes} more probes, half of them good: a handful of probes proves little. Where several
probers report, each part is the median of theirs, so that one that errs or lies changes nothing.

## Reports

Who has paid a provider may report success or failure, signed with the wallet that paid. What a report weighs is the money that the chain shows as
paid out to the provider from its channel. Nothing paid, nothing counted.

\`\`\`
F = (½ K + S) ÷ (K + S + B)      K = ${money}
\`\`\`

- **B**, what speaks against it: what consumers that report failure have paid it, from the channels that they report on. It counts for all
  listings that are paid at the same address, also those that were withdrawn.
- **S**, what speaks for it: the same for success, but of each consumer at most what it has paid, in this directory, to providers of *other owners*.
  Where it praises several providers of one owner, that limit is shared among them.
- Providers count as one owner's where they have the same owner, the same paid address, or the same host name (its last two labels).
- Only payments on the chain that a provider is listed for count.
- A channel counts once: its consumer's latest report, about one provider. Reports count for ${days} days. Reports without a channel are shown
  and not counted. An owner's reports about its own providers are not counted.

## What this is meant to withstand

- **Many channels**: money is added up, so one payment in a hundred parts weighs what it did in one.
- **Many wallets**: the limit holds for each wallet, and the limits of the parts never add up to more than that of the whole.
- **Paying oneself**: money that comes back proves nothing. Praise from a wallet that pays only one owner weighs nothing.
- **Many listings**: one limit for all listings of an owner.
- **Slander**: blame costs what it weighs, and the blamed provider has that money.
- **Answering probes and cheating users**: probes alone can't lift it above the part that reports leave.

## What it can't see

An owner who hides behind several wallets and hosts, has each of them listed, and sends money in a circle between them looks like several owners with a
common customer. Operators who review listings are the guard against that. And a provider with a bad name may start again with a new wallet: it
starts without reports, and with as few probes as any newcomer.
`
