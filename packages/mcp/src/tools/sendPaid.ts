/** A request that is paid for, and what it cost. */
import { Usdc } from '@drain/core'
import type { Purse } from '../createAgent.ts'

export type Paid<result> = {
  result: result
  status: number
  /** Decimal USDC; undefined where the provider didn't tell. */
  cost: string | undefined
  channelId: string | undefined
  /** Decimal USDC that is left in the channels to this server; undefined where there are none. */
  remaining: string | undefined
  latencyMs: number
}

/** Sends a request, pays what it asks for within the limits, and has `read` take the answer. */
export async function sendPaid<result>(
  { client }: Purse,
  url: string,
  init: RequestInit & { headers: Record<string, string> },
  idempotencyKey: string | undefined,
  read: (response: Response) => Promise<result>,
): Promise<Paid<result>> {
  const key = idempotencyKey ?? crypto.randomUUID()
  let cost: bigint | undefined
  let channelId: string | undefined
  const forget = client.on('paid', (event) => {
    if (event.idempotencyKey !== key) return
    cost = (cost ?? 0n) + Usdc.parse(event.cost)
    channelId = event.channelId
  })
  const startedAt = performance.now()
  try {
    const response = await client.fetch(url, {
      ...init,
      headers: { ...init.headers, 'Idempotency-Key': key },
    })
    const result = await read(response)
    const { origin } = new URL(url)
    const open = (await client.channels()).filter((one) => one.origin === origin && one.state === 'open')
    const left = open.reduce((sum, { remaining }) => sum + Usdc.parse(remaining), 0n)
    return {
      result,
      status: response.status,
      cost: cost === undefined ? undefined : Usdc.format(cost),
      channelId,
      remaining: open.length === 0 ? undefined : Usdc.format(left),
      latencyMs: Math.round(performance.now() - startedAt),
    }
  } finally {
    forget()
  }
}
