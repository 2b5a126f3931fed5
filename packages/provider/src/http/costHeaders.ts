import { Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import { exposed } from './cors.ts'

/** What a paid answer tells beside itself: its costs, or its channel where a stream tells the costs at its end. */
export function costHeaders(costs: Wire.Costs | { channelId: Hex }): Record<string, string> {
  const headers: Record<string, string> = { ...exposed }
  const target = {
    set(name: string, value: string) {
      headers[name] = value
    },
  }
  if ('cost' in costs) Wire.writeCosts(target, costs)
  else for (const name of Wire.names.channel) headers[name] = costs.channelId
  return headers
}
