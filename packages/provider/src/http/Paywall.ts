import {
  type Channel,
  Deployment,
  Domain,
  type Pricing,
  type Rejection,
  Usdc,
  type Voucher,
  Headers as Wire,
} from '@drain/core'
import { createPublicClient, createWalletClient, defineChain, type Hex, http, type LocalAccount } from 'viem'
import { ChainUnavailableError, type Confirmations, createChannelReader } from '../chain/ChannelReader.ts'
import { rpcUrlOf } from '../chain/rpcUrlOf.ts'
import type { ChannelFacts, ChannelState, Ledger, LedgerOpener } from '../ledger/Ledger.ts'
import { planRounds, type Rounds, type RoundsInput, startRounds } from '../settle/rounds.ts'
import { type Closing, createSettlement, type Settlement } from '../settle/Settlement.ts'
import * as Terms from '../verify/Terms.ts'
import { verifyVoucher } from '../verify/verifyVoucher.ts'
import { allowOrigin, isPreflight, preflight } from './cors.ts'
import { createEndpoints } from './endpoints.ts'
import { Payment } from './Payment.ts'
import { problem, refusal } from './responses.ts'

/** How a provider is set up. */
export type PaywallConfig = {
  /** The provider's account: channels pay it, it signs closes and sends settlements. */
  account: LocalAccount
  chainId: number
  /** A node of the chain; a public one by default, which limits its use. */
  rpcUrl?: string | undefined
  /** A contract of your own, or one that isn't the chain's default; by its addresses, or as a whole. */
  deployment?: Deployment.Deployment | undefined
  contractAddress?: Hex | undefined
  usdcAddress?: Hex | undefined
  /** Where vouchers and charges are kept: `sqliteLedger('drain.db')`, or `memoryLedger()` for tests. */
  ledger: LedgerOpener
  /** Where consumers reach the provider, when a proxy stands in front; the requests' own origin by default. */
  publicUrl?: string | undefined
  /** Shown in `/v1/pricing`. */
  name?: string | undefined
  /** What is sold, for `/v1/pricing` and `/v1/models`. */
  models?: Record<string, Pricing.Pricing> | undefined
  terms?: Terms.TermsInput | undefined
  /** Answer of `/v1/docs`: what an agent that knows nothing else needs to use the service. Appended to the protocol's part. */
  docs?: string | undefined
  /** Admin routes exist only with a token. */
  adminToken?: string | undefined
  /** A payout below this (USDC) is not worth a transaction; the consumer closes instead. Default 0.01. */
  minPayout?: string | undefined
  /**
   * Claims and settles by itself, so that what was charged is not lost at a channel's expiry. `false`: this process doesn't,
   * another one on the same ledger must.
   */
  settle?: RoundsInput | false | undefined
  /** Takes what the operator should know. Default: `console.warn`. */
  log?: ((message: string) => void) | undefined
  confirmations?: Confirmations | undefined
  /** Answers close requests without a signature, as older clients send them. Trap: strangers can freeze channels. */
  allowUnsignedClose?: boolean | undefined
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
}

/** A request's payment, or the response that refuses it. */
export type Beginning = { ok: true; payment: Payment } | { ok: false; response: Response }

/** A voucher that was admitted, with its channel, or why not. */
export type Admission = { ok: true; channel: ChannelFacts } | { ok: false; rejection: Rejection.Rejection }

/** A channel, with when the ledger first accepted it (Unix seconds), or why there is none. */
export type Found = { channel: Channel.Channel; firstSeen?: bigint } | { rejection: Rejection.Rejection }

/** Does the work of a paid request. */
export type PaidHandler = (payment: Payment) => Response | Promise<Response>

/** Everything a provider has at run time. */
export type Paywall = {
  readonly config: PaywallConfig
  readonly deployment: Deployment.Deployment
  readonly domainSeparator: Hex
  readonly provider: Hex
  readonly terms: Terms.Terms
  readonly ledger: Ledger
  readonly settlement: Settlement
  /** Claims and settles what is due, now; `undefined` where this process doesn't settle. */
  readonly rounds: Rounds | undefined
  /**
   * Serves a paid request: checks its voucher, reserves `quote` (base units), runs `work`, captures the real cost, and
   * adds the cost headers. Work that throws or answers 400 and above is not charged unless it reported a cost. Never
   * throws.
   */
  handle(request: Request, quote: bigint, work: PaidHandler): Promise<Response>
  /** The first half of `handle`, for frameworks with their own responses; end it with `payment.settle`. Never throws. */
  begin(request: Request, quote: bigint): Promise<Beginning>
  /** Answers the protocol's own endpoints, `undefined` for every other request. Never throws. */
  endpoints(request: Request): Promise<Response | undefined>
  /** Verifies a voucher and judges its channel: everything before the ledger. */
  admit(voucher: Voucher.Voucher): Promise<Admission>
  /** A channel as the ledger or the chain knows it. */
  lookUp(channelId: Hex): Promise<Found>
  /** The provider's own origin, as the consumer of a request sees it. */
  originOf(request: Request): string
  /** Unix seconds, by the later of local clock and chain head. */
  now(): bigint
  /** Freezes a channel, waits for what runs on it, and settles it. */
  closeChannel(channel: Channel.Channel): Promise<Closing | { rejection: Rejection.Rejection }>
  /** Ends the rounds and closes the ledger. Stop accepting requests first. */
  close(): Promise<void>
}

/** How long a close request waits for the requests that run on its channel. */
const drainMs = 20_000

/**
 * A provider's paywall.
 *
 * @example
 * ```ts
 * const paywall = createPaywall({ account, chainId: 137, ledger: sqliteLedger('drain.db') })
 * const response = await paywall.handle(request, Usdc.parse('0.001'), () => new Response('paid'))
 * ```
 * @throws {UnknownDeploymentError | LedgerFileError | InvalidAmountError | InvalidDurationError}
 */
export function createPaywall(config: PaywallConfig): Paywall {
  const { account, chainId, clock } = config
  const { contractAddress: contract, usdcAddress: token } = config
  const deployment = config.deployment ?? Deployment.find({ chainId, contract, token })
  const provider = account.address
  const domainSeparator = Domain.separator(deployment)
  const terms = Terms.fromInput(config.terms)
  const rpcUrl = rpcUrlOf(config)
  const transport = http(rpcUrl)
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'native', symbol: 'native', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  const client = createPublicClient({ chain, transport })
  const walletClient = createWalletClient({ account, chain, transport })
  const channels = createChannelReader({ client, deployment, confirmations: config.confirmations, clock })
  const log = config.log ?? console.warn
  const minPayout = Usdc.parse(config.minPayout ?? '0.01')
  const plan = config.settle === false ? undefined : planRounds(config.settle ?? {}, terms)
  // Last, so that no file stays open when something else is wrong.
  const ledger = config.ledger({ chainId, contract: deployment.contract, provider })
  const settlement = createSettlement({
    account,
    walletClient,
    publicClient: client,
    deployment,
    ledger,
    channels,
    minPayout,
    log,
  })
  const running = new Map<Hex, Set<Payment>>()
  const closing = new Map<Hex, Promise<Closing | { rejection: Rejection.Rejection }>>()

  const originOf = (request: Request) => new URL(config.publicUrl ?? request.url).origin

  const offerAt = (request: Request): Wire.Offer => {
    const origin = originOf(request)
    return {
      provider,
      contract: deployment.contract,
      chainId,
      signing: `${origin}/v1/signing`,
      docs: `${origin}/v1/docs`,
      features: deployment.features,
    }
  }

  async function lookUp(channelId: Hex): Promise<Found> {
    // What the ledger accepted once needs no node: it has not changed, or this provider changed it.
    const known = await ledger.get(channelId)
    if (known && known.status !== 'closed') {
      return { channel: { ...known, id: channelId }, firstSeen: known.firstSeen }
    }
    const lookup = await channels.get(channelId)
    if (lookup.status === 'found') return { channel: lookup.channel }
    return { rejection: lookupRejections[lookup.status] }
  }

  async function admit(voucher: Voucher.Voucher): Promise<Admission> {
    const found = await lookUp(voucher.channelId)
    if ('rejection' in found) return { ok: false, rejection: found.rejection }
    const now = channels.now()
    const verdict = verifyVoucher(voucher, found.channel, { provider, domainSeparator, now })
    if (!verdict.ok) return verdict
    const refused = Terms.judge(terms, verdict.channel, found.firstSeen, now)
    if (refused) return { ok: false, rejection: refused }
    return { ok: true, channel: { ...verdict.channel, channelId: voucher.channelId } }
  }

  async function reserve(request: Request, quote: bigint): Promise<Beginning> {
    const refuse = (rejection: Rejection.Rejection): Beginning => {
      const priced = rejection.code === 'voucher_required' ? { required: quote, ...rejection } : rejection
      return { ok: false, response: refusal(priced, offerAt(request)) }
    }
    const parsed = Wire.parseVoucher(request.headers)
    if (!parsed.ok) return refuse({ code: parsed.code, message: parsed.message })
    const { voucher } = parsed
    const admission = await admit(voucher)
    if (!admission.ok) return refuse(admission.rejection)
    const { channel } = admission
    const reserved = await ledger.reserve({ channel, voucher, quote })
    if (!reserved.ok) return refuse(ledgerRejection(reserved.code, reserved.state, quote))
    const { reservationId } = reserved
    const payment = new Payment({
      ledger,
      reservationId,
      channel: { ...channel, id: channel.channelId },
      quote,
    })
    track(payment)
    return { ok: true, payment }
  }

  function track(payment: Payment): void {
    const payments = running.get(payment.channelId) ?? new Set()
    running.set(payment.channelId, payments.add(payment))
    const untrack = () => {
      payments.delete(payment)
      if (payments.size === 0 && running.get(payment.channelId) === payments)
        running.delete(payment.channelId)
    }
    payment.settled.then(untrack, untrack)
  }

  async function begin(request: Request, quote: bigint): Promise<Beginning> {
    try {
      return await reserve(request, quote)
    } catch (error) {
      const what = error instanceof ChainUnavailableError ? 'chain' : 'ledger'
      return {
        ok: false,
        response: refusal({ code: 'unavailable', message: `The ${what} is out of reach.` }),
      }
    }
  }

  async function handle(request: Request, quote: bigint, work: PaidHandler): Promise<Response> {
    if (isPreflight(request)) return preflight()
    const beginning = await begin(request, quote)
    if (!beginning.ok) return beginning.response
    const { payment } = beginning
    let response: Response
    try {
      response = await work(payment)
    } catch {
      response = problem(500, 'internal_error', 'The request failed and is not charged.', 'api_error')
    }
    try {
      const costs = payment.isDeferred ? undefined : await payment.settle(response.status < 400)
      return withCosts(response, payment, costs)
    } catch {
      await response.body?.cancel().catch(() => {})
      return refusal({
        code: 'unavailable',
        message: 'The ledger is out of reach; the request is not charged.',
      })
    }
  }

  /** Concurrent calls share one attempt. */
  function closeChannel(channel: Channel.Channel): Promise<Closing | { rejection: Rejection.Rejection }> {
    const under = closing.get(channel.id)
    if (under) return under
    const attempt = freezeAndSettle({ ...channel, channelId: channel.id }).finally(() =>
      closing.delete(channel.id),
    )
    closing.set(channel.id, attempt)
    return attempt
  }

  async function freezeAndSettle(
    channel: ChannelFacts,
  ): Promise<Closing | { rejection: Rejection.Rejection }> {
    await ledger.freeze(channel)
    for (const payment of running.get(channel.channelId) ?? []) payment.abort()
    const isDrained = await untilDrained(channel)
    if (!isDrained) {
      const message = 'The channel is frozen, but requests still run on it. Ask again in a moment.'
      return { rejection: { code: 'unavailable', message } }
    }
    return settlement.close(channel.channelId)
  }

  /** Waits until nothing is reserved, here or in another process, and the final amount is fixed. */
  async function untilDrained(channel: ChannelFacts): Promise<boolean> {
    const { channelId } = channel
    const deadline = Date.now() + drainMs
    while (!(await isDrained(channel))) {
      if (Date.now() > deadline) return false
      const here = [...(running.get(channelId) ?? [])].map((payment) => payment.settled)
      await Promise.race([here.length > 0 ? Promise.allSettled(here) : wait(100), wait(500)])
    }
    return true
  }

  /**
   * Where only the whole signed amount can be claimed, the final amount stays open: a consumer that asks for the close and
   * then doesn't send it must not keep what it owes. What it is signed stays the same, since nothing is charged any more.
   */
  async function isDrained(channel: ChannelFacts): Promise<boolean> {
    if (Deployment.has(deployment, 'claimAndClose')) return (await ledger.finalize(channel.channelId)).ok
    return (await ledger.freeze(channel)).reserved === 0n
  }

  const rounds =
    plan &&
    startRounds(plan, {
      deployment,
      ledger,
      settlement,
      minPayout,
      now: channels.now,
      closeChannel,
      log,
    })

  const paywall: Paywall = {
    config,
    deployment,
    domainSeparator,
    provider,
    terms,
    ledger,
    settlement,
    handle,
    begin,
    admit,
    lookUp,
    now: channels.now,
    originOf,
    closeChannel,
    async endpoints(request) {
      try {
        return await endpoints(request)
      } catch {
        return refusal({ code: 'unavailable', message: 'The provider cannot answer at the moment.' })
      }
    },
    rounds,
    async close() {
      await rounds?.stop()
      await ledger.close()
    },
  }
  const endpoints = createEndpoints(paywall)
  return paywall
}

/** A refusal of the ledger as the wire tells it. */
export function ledgerRejection(
  code: Rejection.Code,
  state: ChannelState,
  quote: bigint,
): Rejection.Rejection {
  const { charged, reserved, authorized, deposit } = state
  switch (code) {
    case 'insufficient_funds': {
      const requiredCumulative = charged + reserved + quote
      const provided = authorized - charged - reserved
      return {
        code,
        message:
          `Voucher covers ${Usdc.display(provided)}, this request needs ${Usdc.display(quote)}. ` +
          (requiredCumulative > deposit
            ? `The channel holds ${Usdc.display(deposit)}: open another one.`
            : `Sign a voucher for at least ${Usdc.display(requiredCumulative)} (cumulative).`),
        required: quote,
        provided,
        requiredCumulative,
        providedCumulative: authorized,
      }
    }
    case 'invalid_nonce':
      return {
        code,
        message: 'This voucher’s nonce was used before, or is too old. Sign with a new, higher nonce.',
      }
    case 'exceeds_deposit':
      return { code, message: `The voucher promises more than the channel holds (${Usdc.display(deposit)}).` }
    default:
      return { code, message: 'This channel is closing. Open a new one.' }
  }
}

const lookupRejections: Record<'unknown' | 'unconfirmed' | 'busy', Rejection.Rejection> = {
  unknown: {
    code: 'channel_not_found',
    message: 'This channel does not exist on chain. Open a channel first.',
  },
  unconfirmed: {
    code: 'channel_not_found',
    message: 'This channel’s opening is not confirmed deeply enough yet. Try again soon.',
  },
  busy: { code: 'rate_limited', message: 'Too many unknown channels at once. Try again in a second.' },
}

function withCosts(response: Response, payment: Payment, costs: Wire.Costs | undefined): Response {
  const headers = new Headers(response.headers)
  if (costs) Wire.writeCosts(headers, costs)
  else for (const name of Wire.names.channel) headers.set(name, payment.channelId)
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'private')
  allowOrigin(headers)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
