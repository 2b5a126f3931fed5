/** `drain/session` for mppx's own server: the same ledger, verifier and settlement as our paywall. */
import { InvalidFormatError, Rejection, Usdc, Voucher, Headers as Wire } from '@drain/core'
import { closingJson, type Paywall, type RequestHead } from '@drain/provider'
import { Method } from 'mppx'
import type { Hex } from 'viem'
import {
  bindingOf,
  drainSession,
  type SessionRequest,
  type SessionRequestInput,
} from '../method/drainSession.ts'
import { type ReadPayload, readPayload } from '../method/sessionPayload.ts'
import { type SessionReceipt, sessionReceipt } from '../method/sessionReceipt.ts'
import { createAwaitConfirmed, type OpenPatienceInput } from './awaitConfirmed.ts'
import { RefusedError } from './RefusedError.ts'
import { relayOpening } from './relayOpening.ts'

/**
 * The method for `Mppx.create({ methods: [session({ paywall })] })`. Amounts are USDC: `mppx.drain.session({ amount: '0.001' })`.
 *
 * Trap: mppx makes the receipt before the application works, so a request is charged when its voucher comes, and is not given back
 * when the application fails. For the same reason `Idempotency-Key` has no meaning here. The paywall's own adapters
 * (`@drain/provider/hono`, …) have neither limit: use `schemes: [drainSession()]` there.
 *
 * @example
 * ```ts
 * const mppx = Mppx.create({ methods: [session({ paywall })], secretKey })
 * const result = await mppx.drain.session({ amount: '0.001' })(request)
 * ```
 */
export function session({
  paywall,
  ...patience
}: { paywall: Paywall } & OpenPatienceInput): Method.Server<typeof drainSession, Defaults> {
  const { deployment, ledger, requests, relay } = paywall
  const { chainId } = deployment
  const awaitConfirmed = createAwaitConfirmed(paywall, patience)
  /** What a close has come to, until its answer is written. */
  const closings = new WeakMap<object, ReturnType<typeof closingJson>>()

  async function charge(
    voucher: Voucher.Voucher,
    quote: bigint,
    request: Pick<RequestHead, 'method' | 'url'>,
  ): Promise<Told> {
    const beginning = await paywall.begin({ ...request, headers: headersWith(voucher) }, quote)
    if (!beginning.ok) throw await errorOf(beginning)
    const { payment } = beginning
    const { cost, total } = await payment.settle(true)
    return { channelId: payment.channelId, cost, total, authorized: payment.account.authorized }
  }

  async function raise(voucher: Voucher.Voucher): Promise<Told> {
    const raised = await requests.raise(voucher, {})
    if (!raised.ok) throw new RefusedError(raised.rejection)
    const { channelId, charged, authorized } = raised.state
    return { channelId, cost: 0n, total: charged, authorized }
  }

  async function close(
    { channelId, deadline, signature }: Extract<ReadPayload, { action: 'close' }>,
    credential: object,
  ): Promise<Told> {
    const closed = await requests.close(channelId, { deadline: deadline.toString(), signature }, {})
    if (!closed.ok) throw new RefusedError(closed.rejection)
    const { finalAmount, txHash } = closed.closing
    closings.set(credential, closingJson(channelId, closed.closing))
    const authorized = (await ledger.get(channelId))?.authorized ?? finalAmount
    return { channelId, cost: 0n, total: finalAmount, authorized, txHash }
  }

  return Method.toServer<typeof drainSession, Defaults>(drainSession, {
    defaults: {
      chainId,
      currency: deployment.token,
      credentialTypes: relay ? ['hash', 'authorization'] : ['hash'],
      escrowContract: deployment.contract,
      recipient: paywall.provider,
    },
    stableBinding: (request) => bindingOf(request as SessionRequest),
    async broadcast({ credential, envelope, request }): Promise<SessionReceipt> {
      const asked = read(credential.payload)
      const quote = Usdc.parse(request.amount)
      const captured = envelope?.capturedRequest
      const method = captured?.method ?? 'POST'
      const isWorkless = method === 'HEAD'
      let told: Told
      if (asked.action === 'close') told = await close(asked, credential)
      else {
        const { voucher } = asked
        let txHash: Hex | undefined
        if (asked.action === 'open') {
          const { opening } = asked
          const opened = opening && (await relayOpening(paywall, voucher, opening, isWorkless ? 0n : quote))
          if (opened && 'rejection' in opened) throw new RefusedError(opened.rejection)
          txHash = opened?.txHash
          const misfit = await awaitConfirmed(voucher)
          if (misfit) throw new RefusedError(misfit.rejection)
        }
        const url = captured?.url.href ?? 'http://localhost/'
        told = { ...(await (isWorkless ? raise(voucher) : charge(voucher, quote, { method, url }))), txHash }
      }
      const { channelId, cost, total, authorized, txHash } = told
      const details = { challengeId: credential.challenge.id, chainId, txHash, at: new Date() }
      return sessionReceipt({ channelId, cost, total }, { authorized }, details)
    },
    respond({ credential, input }) {
      const closing = closings.get(credential)
      if (closing) return Response.json(closing, { headers: { 'Cache-Control': 'private, no-store' } })
      return input.method === 'HEAD' ? new Response(null, { status: 204 }) : undefined
    },
  })
}

/** What a route need not say. */
type Defaults = Pick<
  SessionRequestInput,
  'chainId' | 'currency' | 'credentialTypes' | 'escrowContract' | 'recipient'
>

type Told = { channelId: Hex; cost: bigint; total: bigint; authorized: bigint; txHash?: Hex | undefined }

function read(payload: unknown): ReadPayload {
  try {
    return readPayload(payload as Record<string, unknown>)
  } catch (error) {
    if (!(error instanceof InvalidFormatError)) throw error
    throw new RefusedError({ code: 'invalid_voucher_format', message: error.message })
  }
}

/** A voucher as it stands in a request of the headers. */
function headersWith(voucher: Voucher.Voucher): RequestHead['headers'] {
  const [drain] = Wire.names.voucher
  const has = (name: string) => name.toLowerCase() === drain.toLowerCase()
  return { has, get: (name) => (has(name) ? Voucher.toHeader(voucher) : null) }
}

async function errorOf(refused: Extract<Awaited<ReturnType<Paywall['begin']>>, { ok: false }>) {
  const { response } = refused
  const { error } = (await response.json()) as Rejection.Body
  const code = Rejection.isCode(error.code) ? error.code : 'unavailable'
  const isPassing = code === 'channel_not_found' && response.headers.has('Retry-After')
  return new RefusedError({ code, message: error.message, isPassing })
}
