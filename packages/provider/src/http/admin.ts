/** Administration: exists only when the operator sets a token. */
import { Usdc } from '@drain/core'
import { defaultThreshold } from '../settle/rounds.ts'
import type { Paywall } from './Paywall.ts'

/** A bearer token, or a function that says which one counts now. Without one, or with an empty one, there are no admin routes. */
export type AdminToken = string | (() => string | undefined)

/** Routes under `/v1/admin/`, and `/metrics`. Answers carry no cross-origin headers. */
export function createAdminRoutes(
  paywall: Paywall,
  adminToken: AdminToken,
): (request: Request, pathname: string) => Promise<Response | undefined> {
  const { ledger, settlement, provider, deployment, metrics, config } = paywall
  const { settle } = config
  const threshold = Usdc.parse((settle === false ? undefined : settle?.threshold) ?? defaultThreshold)

  /** What counts at this moment; none when it can't be told. */
  function tokenOf(): string | undefined {
    try {
      return typeof adminToken === 'function' ? adminToken() : adminToken
    } catch {
      return undefined
    }
  }

  async function isAuthorized(request: Request, token: string): Promise<boolean> {
    const [given, wanted] = await Promise.all([
      digest(request.headers.get('Authorization') ?? ''),
      digest(`Bearer ${token}`),
    ])
    let difference = 0
    for (const [index, byte] of wanted.entries()) difference |= byte ^ (given[index] ?? 0)
    return difference === 0
  }

  const noStore = { headers: { 'Cache-Control': 'no-store' } }

  async function claim(request: Request): Promise<Response> {
    if (typeof paywall.config.account === 'string') {
      const message =
        'This server has no key to claim with. Where the key is, `drain-provider settle` claims by itself; give it a lower --threshold.'
      const error = { message, type: 'invalid_request_error', code: 'key_elsewhere' }
      return Response.json({ error }, { ...noStore, status: 501 })
    }
    const force = new URL(request.url).searchParams.get('force') === 'true'
    const { claimed, pending, failed, waiting } = await settlement.claimAll(force ? 1n : threshold)
    const transactions = claimed.map(({ channelId, amount, txHash }) => ({
      channelId,
      amount: Usdc.format(amount),
      txHash,
    }))
    return Response.json({ claimed: transactions, pending, failed, waiting: Usdc.format(waiting) }, noStore)
  }

  async function stats(): Promise<Response> {
    const { deposit, authorized, charged, reserved, claimed, unused, ...counts } = await ledger.totals()
    const unclaimed = charged - claimed + unused
    const amounts = { deposit, authorized, charged, reserved, claimed, unused, unclaimed }
    const readable = Object.fromEntries(
      Object.entries(amounts).map(([name, amount]) => [name, Usdc.format(amount)]),
    )
    return Response.json(
      { provider, chainId: deployment.chainId, currency: 'USDC', ...counts, ...readable },
      noStore,
    )
  }

  async function vouchers(): Promise<Response> {
    const channels = []
    for await (const { channelId, consumer, status, charged, claimed, authorized } of ledger.channels({
      unclaimedOver: 0n,
    })) {
      const [earned, paid, signed] = [charged, claimed, authorized].map(Usdc.format)
      channels.push({ channelId, consumer, status, charged: earned, claimed: paid, authorized: signed })
      if (channels.length === 1_000) break
    }
    return Response.json({ provider, channels }, noStore)
  }

  async function figures(): Promise<Response> {
    const { contentType, text } = await metrics.render()
    return new Response(text, { headers: { ...noStore.headers, 'Content-Type': contentType } })
  }

  return async (request, pathname) => {
    const route = `${request.method} ${pathname}`
    const handler = {
      'POST /v1/admin/claim': claim,
      'GET /v1/admin/stats': stats,
      'GET /v1/admin/vouchers': vouchers,
      'GET /metrics': figures,
    }[route]
    const token = handler && tokenOf()
    if (!token) return undefined
    if (!(await isAuthorized(request, token))) {
      const error = {
        message: 'Send the admin token as a bearer token.',
        type: 'invalid_request_error',
        code: 'unauthorized',
      }
      return Response.json({ error }, { ...noStore, status: 401 })
    }
    return handler(request)
  }
}

/** Comparing digests takes the same time wherever two tokens differ. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
}
