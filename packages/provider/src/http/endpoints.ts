/** The protocol's own routes of a provider: what it sells, how to pay, the state and end of a channel, administration. */
import {
  Channel,
  ChannelRequest,
  CloseAuthorization,
  InvalidFormatError,
  Pricing,
  Usdc,
  Voucher,
  Headers as Wire,
} from '@drain/core'
import type { ChannelState, LedgerVoucher } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import { createAdminRoutes } from './admin.ts'
import { readJson } from './body.ts'
import { type Asker, type ChannelRequests, closingJson } from './channelRequests.ts'
import { isPreflight, preflight } from './cors.ts'
import { createDiscovery } from './discovery.ts'
import { documentation } from './documentation.ts'
import type { Paywall } from './Paywall.ts'
import { toResponse } from './PlainAnswer.ts'
import { closed as closedForGood } from './rejections.ts'
import { relayResponse } from './relayResponse.ts'
import { pathOf } from './requestUrl.ts'
import { json, plainFailure, plainRefusal, problem, refusal } from './responses.ts'
import type { Instrument } from './Scheme.ts'
import type { Schemes } from './schemes.ts'

type Route = (request: Request, asker: Asker) => Response | undefined | Promise<Response | undefined>

/**
 * A handler that answers the protocol's routes and leaves all others alone.
 *
 * @param requests What consumers ask about their channels.
 * @param schemes Where vouchers may come as well.
 */
export function createEndpoints(
  paywall: Paywall,
  requests: ChannelRequests,
  schemes?: Schemes,
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

  async function channelState(request: Request, id: string, asker: Asker): Promise<Response> {
    const channelId = Channel.parseId(id)
    const asked = await requests.authenticate(
      channelId,
      'state',
      parseJson(request.headers.get(Wire.request)),
      asker,
    )
    if (!asked.ok) return refusal(asked.rejection)
    const state = await ledger.get(channelId)
    const { channel } = asked
    return json(describe(state ?? channel), 200, { 'Cache-Control': 'private, no-store' })
  }

  async function raise(request: Request, asker: Asker): Promise<Response> {
    const isInHeader =
      request.headers.has(Wire.names.voucher[0]) || request.headers.has(Wire.names.voucher[1])
    await schemes?.ready()
    const found = schemes?.find(request, paywall.originOf(request))
    if (found?.ok && 'instrument' in found) return raiseBy(found.instrument, asker)
    if (found && 'refused' in found) return toResponse(plainFailure(found.refused.rejection, found.writer))
    let headers: Pick<Headers, 'get'> = request.headers
    if (!isInHeader) {
      const sent = await readJson(request)
      if (!sent.ok) return refusal({ code: 'invalid_voucher_format', message: sent.message })
      const text = writable(sent.value)
      headers = { get: (name) => (name === Wire.names.voucher[0] ? text : null) }
    }
    const parsed = Wire.parseVoucher(headers)
    if (!parsed.ok) return refusal({ code: parsed.code, message: parsed.message })
    return tellRaised(await requests.raise(parsed.voucher, asker))
  }

  /** A voucher of a scheme, in its own words; its channel must be there. */
  async function raiseBy(instrument: Instrument, asker: Asker): Promise<Response> {
    const { writer } = instrument
    if (instrument.kind !== 'voucher' || instrument.prepare) {
      const message = 'This takes vouchers only.'
      return toResponse(plainFailure({ code: 'invalid_voucher_format', message }, writer))
    }
    const raised = await requests.raise(instrument.voucher, asker)
    if (!raised.ok) return toResponse(plainFailure(raised.rejection, writer, raised.retryAfterSeconds))
    const { state } = raised
    const { channelId, charged, deposit } = state
    const costs = { channelId, cost: 0n, total: charged, remaining: deposit - charged }
    const response = tellRaised(raised)
    for (const [name, value] of Object.entries(writer.receipt(costs, state)))
      response.headers.set(name, value)
    return response
  }

  function tellRaised(raised: Awaited<ReturnType<ChannelRequests['raise']>>): Response {
    if (!raised.ok) return toResponse(plainRefusal(raised.rejection, undefined, raised.retryAfterSeconds))
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
    const closed = await requests.close(channelId, body.value, asker)
    if (!closed.ok) {
      const { message } = closed.rejection
      return 'isUnsupported' in closed
        ? problem(501, 'feature_unavailable', message)
        : refusal(closed.rejection)
    }
    return json(closingJson(channelId, closed.closing), 200, { 'Cache-Control': 'private, no-store' })
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
  const discovery = createDiscovery(paywall, schemes)
  if (discovery) {
    routes.set('GET /openapi.json', discovery.openApi).set('GET /llms.txt', discovery.llms)
  }
  /** What begins something new. */
  const beginning = new Set(['POST /v1/close-channel', 'POST /v1/open', 'POST /v1/admin/claim'])

  return async (request, asker = {}) => {
    const pathname = pathOf(request.url)
    const name = `${request.method === 'HEAD' ? 'GET' : request.method} ${pathname}`
    const route = routes.get(name)
    const state = /^\/v1\/channels\/([^/]+)$/.exec(pathname)
    try {
      if (paywall.isClosing && beginning.has(name)) return refusal(closedForGood)
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
