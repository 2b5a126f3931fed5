import { Headers as Wire } from '@drain/core'
import { exposed } from './cors.ts'
import type { Payment } from './Payment.ts'

/**
 * What a paid answer tells beside itself: its costs, or its channel where a stream tells the costs at its end; and what the
 * payment's scheme adds.
 */
export function costHeaders(
  payment: Pick<Payment, 'channelId' | 'account' | 'writer'>,
  costs: Wire.Costs | undefined,
  status: number,
): Record<string, string> {
  const headers: Record<string, string> = { ...exposed }
  const target = {
    set(name: string, value: string) {
      headers[name] = value
    },
  }
  writePaid(target, payment, costs, status)
  return headers
}

/** The same, onto headers. */
export function writePaid(
  headers: Pick<Headers, 'set'>,
  { channelId, account, writer }: Pick<Payment, 'channelId' | 'account' | 'writer'>,
  costs: Wire.Costs | undefined,
  status: number,
): void {
  if (writer === undefined || writer.hasChannel) {
    if (costs) Wire.writeCosts(headers, costs)
    else for (const name of Wire.names.channel) headers.set(name, channelId)
  } else if (costs) for (const name of Wire.names.cost) headers.set(name, costs.cost.toString())
  if (writer === undefined || status >= 300) return
  const { charged, deposit } = account
  const told = costs ?? { channelId, cost: 0n, total: charged, remaining: deposit - charged }
  const receipt = writer.receipt(told, account)
  for (const name in receipt) headers.set(name, receipt[name] as string)
}
