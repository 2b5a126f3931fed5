/** The protocol's own routes of a provider: what it sells, how to pay, the state and end of a channel, administration. */
import {
  Channel,
  ChannelRequest,
  CloseAuthorization,
  Deployment,
  InvalidFormatError,
  Pricing,
  type Rejection,
  SessionKey,
  Usdc,
  Voucher,
  Headers as Wire,
} from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelState, LedgerVoucher } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import type { KnownChannel } from '../verify/verifyVoucher.ts'
import { createAdminRoutes } from './admin.ts'
import { readJson } from './body.ts'
import { isPreflight, preflight } from './cors.ts'
import { documentation } from './documentation.ts'
import type { Paywall } from './Paywall.ts'
import { toResponse } from './PlainAnswer.ts'
import type { RateLimits } from './rateLimits.ts'
import { closed, ledgerRejection, tooManyRequests } from './rejections.ts'
import { relayResponse } from './relayResponse.ts'
import { pathOf } from './requestUrl.ts'
import { json, plainRefusal, problem, refusal } from './responses.ts'

const wrongSigner =
  'The request is not signed by the channel’s consumer, nor by a session key whose proof is known.'

/** A voucher without a request is refused for no quote. */
const noQuote = { most: 0n, first: 0n }

/** What an adapter knows of a request beside it. */
export type Asker = {
  /** Who asks. Trap: leave it out behind a proxy, unless it is the client's true address. */
  remoteAddress?: string | undefined
}

type Route = (request: Request, asker: Asker) => Response | undefined | Promise<Response | undefined>

/**
 * A handler that answers the protocol's routes and leaves all others alone.
 *
 * @param raises Limits of vouchers that come without a request: each is a durable write.
 */
export function createEndpoints(
  paywall: Paywall,
  raises: RateLimits,
): (request: Request, asker?: Asker) => Promise<Response | undefined> {
  const { config, deployment, domainSeparator, provider, ledger } = paywall
  const models = Object.entries(config.models ?? {})
  const startedAt = Math.floor(Date.now() / 1_000)

  const pricing = {
    provider,
    providerName: config.name ?? 'DRAIN provider',
    chainId: deployment.chainId,
    currency: 'USDC',
    decimals: Usdc.decimals,
    contract: deployment.contract,
    terms: {
      ...Terms.toJson(paywall.terms),
      ...(config.limits ? { limits: config.limits } : {}),
      ...(paywall.relay ? { relay: paywall.relay.terms } : {}),
    },
    features: ['close-channel', 'vouchers', 'idempotency', ...(paywall.relay ? ['open'] : [])],
    models: Object.fromEntries(models.map(([id, price]) => [id, Pricing.toJson(price)])),
  }

  const modelList = {
    object: 'list',
    data: models.map(([id]) => ({
      id,
      object: 'model',
      created: startedAt,
      owned_by: config.name ?? 'drain-provider',
    })),
  }

  const signing = {
    domain: {
      name: 'DrainChannel',
      version: '1',
      chainId: deployment.chainId,
      verifyingContract: deployment.contract,
    },
    types: { ...Voucher.types, ...CloseAuthorization.types, ...ChannelRequest.types },
    domainSeparator,
    token: deployment.token,
    provider,
    features: deployment.features,
  }

  /** Proves that a request about a channel comes from its consumer. */
  async function authenticate(
    channelId: Hex,
    action: ChannelRequest.Action,
    fields: unknown,
    { remoteAddress }: Asker,
  ): Promise<{ ok: true; channel: KnownChannel } | { ok: false; response: Response }> {
    const refuse = (code: Rejection.Code, message: string) =>
      ({ ok: false, response: refusal({ code, message }) }) as const
    const isUnsigned = action === 'close' && config.allowUnsignedClose && !hasSignature(fields)
    // The chain is asked only about channels for which somebody has signed something.
    const proven = isUnsigned ? undefined : signerOf(channelId, action, fields)
    if (proven && 'problem' in proven) return refuse('invalid_signature', proven.problem)
    const found = await paywall.lookUp(channelId, remoteAddress)
    const channel = 'channel' in found ? found.channel : await remembered(channelId)
    if (!channel)
      return { ok: false, response: refusal((found as { rejection: Rejection.Rejection }).rejection) }
    if (channel.provider.toLowerCase() !== provider.toLowerCase()) {
      return refuse('wrong_provider', 'This channel pays another provider.')
    }
    if (proven && !SessionKey.accept(proven.signed, channel, deployment)) {
      return refuse('invalid_signature', wrongSigner)
    }
    return { ok: true, channel }
  }

  /** Who has signed for an action, or what is wrong with that. */
  function signerOf(
    channelId: Hex,
    action: ChannelRequest.Action,
    fields: unknown,
  ): { signed: SessionKey.Signed } | { problem: string } {
    let proof: { deadline: bigint; signature: Hex }
    try {
      proof = ChannelRequest.fromJson(fields)
    } catch {
      return { problem: `Sign a ChannelRequest for the action "${action}": send deadline and signature.` }
    }
    if (!ChannelRequest.isTimely(proof.deadline, paywall.now())) {
      return { problem: 'The deadline must lie ahead, by at most five minutes.' }
    }
    const digest = ChannelRequest.digest({ channelId, action, deadline: proof.deadline }, domainSeparator)
    const signed = SessionKey.recover(digest, proof.signature, paywall.secp256k1)
    return signed ? { signed } : { problem: wrongSigner }
  }

  /** A channel that is closed on chain by now, as the ledger has it: repeats of a close get the same answer. */
  async function remembered(channelId: Hex): Promise<KnownChannel | undefined> {
    const state = await ledger.get(channelId)
    return state && { ...state, id: state.channelId }
  }

  async function channelState(request: Request, id: string, asker: Asker): Promise<Response> {
    const channelId = Channel.parseId(id)
    const asked = await authenticate(channelId, 'state', parseJson(request.headers.get(Wire.request)), asker)
    if (!asked.ok) return asked.response
    const state = await ledger.get(channelId)
    const { channel } = asked
    return json(describe(state ?? channel), 200, { 'Cache-Control': 'private, no-store' })
  }

  async function raise(request: Request, { remoteAddress }: Asker): Promise<Response> {
    const body = request.headers.has(Wire.names.voucher[0]) || request.headers.has(Wire.names.voucher[1])
    let headers: Pick<Headers, 'get'> = request.headers
    if (!body) {
      const sent = await readJson(request)
      if (!sent.ok) return refusal({ code: 'invalid_voucher_format', message: sent.message })
      const text = writable(sent.value)
      headers = { get: (name) => (name === Wire.names.voucher[0] ? text : null) }
    }
    const parsed = Wire.parseVoucher(headers)
    if (!parsed.ok) return refusal({ code: parsed.code, message: parsed.message })
    const admission = await paywall.admit(parsed.voucher, remoteAddress)
    if (!admission.ok) return refusal(admission.rejection)
    const taken = raises.take(admission.channel.channelId)
    if (!taken.ok) return toResponse(plainRefusal(tooManyRequests, undefined, taken.retryAfterSeconds))
    const raised = await ledger.raise(admission)
    if (!raised.ok) {
      // Nothing was written: whoever has seen a voucher can send it again.
      taken.ticket.giveBack()
      return refusal(ledgerRejection(raised.code, raised.state, noQuote))
    }
    paywall.lines.wake(raised.state.channelId)
    const { channelId, authorized, charged, reserved, deposit } = raised.state
    return json({
      channelId,
      acceptedCumulative: authorized.toString(),
      charged: charged.toString(),
      reserved: reserved.toString(),
      deposit: deposit.toString(),
    })
  }

  async function closeChannel(request: Request, asker: Asker): Promise<Response> {
    const body = await readJson(request)
    if (!body.ok) return problem(body.status, 'invalid_request', body.message)
    const channelId = Channel.parseId((body.value as { channelId?: unknown } | null)?.channelId)
    const asked = await authenticate(channelId, 'close', body.value, asker)
    if (!asked.ok) return asked.response
    if (!Deployment.has(deployment, 'cooperativeClose')) {
      return problem(
        501,
        'feature_unavailable',
        'The contract of this channel has no early close: wait for its expiry.',
      )
    }
    const closing = await paywall.closeChannel(asked.channel)
    if ('rejection' in closing) return refusal(closing.rejection)
    const { finalAmount, txHash, signature } = closing
    const answer = {
      channelId,
      finalAmount: finalAmount.toString(),
      ...(txHash ? { txHash } : {}),
      signature,
    }
    return json(answer, 200, { 'Cache-Control': 'private, no-store' })
  }

  async function health(): Promise<Response> {
    const { status, reasons } = await paywall.health.report()
    const answer = {
      status,
      provider,
      chainId: deployment.chainId,
      ...(reasons.length > 0 ? { reasons } : {}),
    }
    return json(answer, status === 'unavailable' ? 503 : 200, { 'Cache-Control': 'no-store' })
  }

  async function open(request: Request): Promise<Response | undefined> {
    if (!paywall.relay) return undefined
    const body = await readJson(request)
    if (!body.ok) return problem(body.status, 'invalid_request', body.message)
    return relayResponse(await paywall.relay.open(body.value))
  }

  const docs = (request: Request) =>
    new Response(documentation(paywall, paywall.originOf(request)), {
      headers: {
        'Content-Type': 'text/plain; charset=utf-8',
        'Access-Control-Allow-Origin': '*',
        // It names the origin that it was asked at: where that is taken from the request, a cache must not give it to others.
        'Cache-Control': 'no-store',
      },
    })

  const admin = config.adminToken ? createAdminRoutes(paywall, config.adminToken) : undefined

  const routes = new Map<string, Route>([
    ['GET /v1/pricing', () => json(pricing)],
    ['GET /v1/models', () => json(modelList)],
    ['GET /v1/docs', docs],
    ['GET /v1/signing', () => json(signing)],
    ['GET /health', health],
    ['POST /v1/vouchers', raise],
    ['POST /v1/close-channel', closeChannel],
    ['POST /v1/open', open],
  ])
  /** What begins something new. */
  const beginning = new Set(['POST /v1/close-channel', 'POST /v1/open', 'POST /v1/admin/claim'])

  return async (request, asker = {}) => {
    const pathname = pathOf(request.url)
    const name = `${request.method === 'HEAD' ? 'GET' : request.method} ${pathname}`
    const route = routes.get(name)
    const state = /^\/v1\/channels\/([^/]+)$/.exec(pathname)
    try {
      if (paywall.isClosing && beginning.has(name)) return refusal(closed)
      if (route) return await route(request, asker)
      if (state?.[1] && request.method === 'GET') return await channelState(request, state[1], asker)
      if (pathname.startsWith('/v1/admin/') || pathname === '/metrics')
        return await admin?.(request, pathname)
      if (isPreflight(request)) return preflight()
      return undefined
    } catch (error) {
      if (error instanceof InvalidFormatError) return problem(400, 'invalid_request', error.shortMessage)
      throw error
    }
  }
}

/** A channel's account as its consumer may see it: decimal strings of base units, and the proof of what it signed. */
function describe(channel: ChannelState | Channel.Channel) {
  const state = 'channelId' in channel ? channel : undefined
  const charged = state?.charged ?? channel.claimed
  return {
    channelId: 'channelId' in channel ? channel.channelId : channel.id,
    status: state?.status ?? 'open',
    deposit: channel.deposit.toString(),
    expiry: channel.expiry.toString(),
    claimed: channel.claimed.toString(),
    authorized: (state?.authorized ?? 0n).toString(),
    charged: charged.toString(),
    reserved: (state?.reserved ?? 0n).toString(),
    remaining: (channel.deposit - charged).toString(),
    finalAmount: state?.finalAmount?.toString() ?? null,
    voucher: state?.highest ? voucherJson(state.highest) : null,
  }
}

function voucherJson({ amount, nonce, signature }: LedgerVoucher) {
  return { amount: amount.toString(), nonce: nonce.toString(), signature }
}

function hasSignature(fields: unknown): boolean {
  return typeof fields === 'object' && fields !== null && 'signature' in fields
}

/** JSON of a value that was parsed from JSON; what is nested too deeply to be written is no voucher. */
function writable(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return 'null'
  }
}

function parseJson(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return undefined
  }
}
