/** A request that is paid for, and what it cost. */
import { DrainError, PaymentUnknownError, Usdc } from '@drain/core'
import type { Purse } from '../createAgent.ts'
import { usdc } from '../text/plain.ts'

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

/** How long a request may take in all, in milliseconds: one that sends signs of life for ever ends, too. */
const patience = 600_000

type PaidRequest = {
  url: string
  init: RequestInit & { headers: Record<string, string> }
  signal: AbortSignal
  /** That of an earlier call, to ask for its answer once more. */
  idempotencyKey?: string | undefined
}

/**
 * Sends a request, pays what it asks for within the limits, and has `read` take the answer.
 *
 * @throws {PaymentUnknownError} The answer breaks off. The same call with this key gets it again, and pays nothing more.
 */
export async function sendPaid<result>(
  { client }: Purse,
  { url, init, signal, idempotencyKey: key = crypto.randomUUID() }: PaidRequest,
  read: (response: Response) => Promise<result>,
): Promise<Paid<result>> {
  const { origin } = new URL(url)
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
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]),
    })
    const result = await read(response).catch((error) => {
      if (error instanceof DrainError) throw withCost(error, cost)
      if (!response.ok || signal.aborted) throw error
      throw new PaymentUnknownError(origin, key, error)
    })
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

/** A failure may have been paid for all the same: then it says so. */
function withCost(error: DrainError, cost: bigint | undefined): DrainError {
  if (!cost) return error
  const { code, shortMessage, details, action } = error
  return new DrainError(code, `${shortMessage} It cost ${usdc(Usdc.format(cost))}.`, {
    details,
    action,
    cause: error,
  })
}
