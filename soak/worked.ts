/**
 * What the server has worked, written down by itself beside the ledger and before it answers: so what a lost answer may have cost is
 * known, but for those that a kill cut short.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Hex } from 'viem'

/** Base units. */
type Line =
  /** A piece of a request's work is done. */
  | { id: string; channelId: Hex; cost: number }
  /** Its payment has ended. `due`: what it had to come to, where nothing excuses less. */
  | { id: string; channelId: Hex; settled: number; due?: number | undefined }

/** What a channel was charged for certain, and at most; and what was not charged and should have been. Base units. */
export type Worked = { least: bigint; most: bigint; unpaid: bigint }

const fileOf = (ledgerPath: string) => `${ledgerPath}.worked`

export function writeWorked(ledgerPath: string, line: Line): void {
  appendFileSync(fileOf(ledgerPath), `${JSON.stringify(line)}\n`)
}

export function readWorked(ledgerPath: string): Map<Hex, Worked> {
  type Request = { channelId: Hex; worked: bigint; settled?: bigint; due?: bigint | undefined }
  const requests = new Map<string, Request>()
  const text = existsSync(fileOf(ledgerPath)) ? readFileSync(fileOf(ledgerPath), 'utf8') : ''
  for (const row of text.split('\n').filter(Boolean)) {
    const line = JSON.parse(row) as Line
    const request: Request = requests.get(line.id) ?? { channelId: line.channelId, worked: 0n }
    requests.set(line.id, request)
    if ('cost' in line) request.worked += BigInt(line.cost)
    else {
      request.settled = BigInt(line.settled)
      request.due = line.due === undefined ? undefined : BigInt(line.due)
    }
  }
  const channels = new Map<Hex, Worked>()
  for (const { channelId, worked, settled = 0n, due = 0n } of requests.values()) {
    const { least, most, unpaid } = channels.get(channelId) ?? { least: 0n, most: 0n, unpaid: 0n }
    channels.set(channelId, {
      least: least + settled,
      // Of a reservation that had ended, the steps that were captured before may be charged.
      most: most + (settled > 0n && settled < worked ? settled : worked),
      unpaid: unpaid + (due > settled ? due - settled : 0n),
    })
  }
  return channels
}
