import { type Channel, Deployment, Domain, Usdc, type Voucher, type Headers as Wire } from '@drain/core'
import { type SelectedSecp256k1, selectSecp256k1 } from '@drain/keys'
import { createPublicClient, type Hex, hexToBytes, type PublicClient } from 'viem'
import { createChannelReader } from '../chain/ChannelReader.ts'
import { chainOf } from '../chain/chainOf.ts'
import { createExposure } from '../chain/Exposure.ts'
import { rpcUrlOf } from '../chain/rpcUrlOf.ts'
import { rpcTransport } from '../chain/transport.ts'
import type { Ledger } from '../ledger/Ledger.ts'
import { startPruning } from '../ledger/startPruning.ts'
import { createChainCheck } from '../observe/ChainCheck.ts'
import { createFollowing } from '../observe/Following.ts'
import { createHealth, type Health } from '../observe/Health.ts'
import { createLogger, type Logger } from '../observe/Log.ts'
import { createMetrics, type Metrics } from '../observe/Metrics.ts'
import { observeChannels } from '../observe/observeChannels.ts'
import { observeLedger } from '../observe/observeLedger.ts'
import { createSettlementFigures } from '../observe/settlementFigures.ts'
import { tellBeginning } from '../observe/tellBeginning.ts'
import { finalityOf } from '../settle/finality.ts'
import { planRounds } from '../settle/rounds.ts'
import type { Settlement } from '../settle/Settlement.ts'
import { createSettler, type Settler } from '../settle/Settler.ts'
import { addressOf, keyElsewhere } from '../settle/withoutKey.ts'
import { defaultStreamSettings } from '../stream/StreamSettings.ts'
import { createWaitingLines, type WaitingLines } from '../stream/WaitingLines.ts'
import { createSignerRecovery } from '../verify/SignerRecovery.ts'
import * as Terms from '../verify/Terms.ts'
import { type Admission, createAdmission, type Found } from './admission.ts'
import { type Begin, createBegin } from './beginning.ts'
import { type Asker, type ChannelRequests, createChannelRequests } from './channelRequests.ts'
import { type CloseResult, createChannelCloser, drainMs } from './closing.ts'
import { createEndpoints } from './endpoints.ts'
import { tellFailure } from './failures.ts'
import { createOpenRelay, type OpenRelay } from './openRelay.ts'
import type { PaywallConfig } from './PaywallConfig.ts'
import type { RequestHead } from './RequestHead.ts'
import { createRunningPayments } from './RunningPayments.ts'
import { createRateLimits, limitsOfRaises } from './rateLimits.ts'
import { closed } from './rejections.ts'
import * as Url from './requestUrl.ts'
import { refusal } from './responses.ts'
import { createSchemes } from './schemes.ts'
import { createHandle, type Handle } from './serving.ts'
import { createShutdown } from './shutdown.ts'

/** Everything a provider has at run time. */
export type Paywall = {
  readonly config: PaywallConfig
  readonly deployment: Deployment.Deployment
  readonly domainSeparator: Hex
  readonly provider: Hex
  readonly terms: Terms.Terms
  /** The library that recovers signers; `name` says which. `ready` fails when the configured one does not load. */
  readonly secp256k1: SelectedSecp256k1
  readonly ledger: Ledger
  readonly settlement: Settlement
  /** The worker that turns charges into transactions. */
  readonly settler: Settler
  /** Asks the node. */
  readonly client: PublicClient
  readonly logger: Logger
  /**
   * Serves a paid request: checks its voucher, reserves `quote` (base units), runs `work`, captures the real cost, and
   * adds the cost headers. Work that throws or answers 400 and above is not charged unless it reported a cost. Never
   * throws.
   *
   * There are three ways to price: a fixed price is a quote that no cost is reported for; a quote from the request with
   * `payment.charge(cost)` is charged what it really cost; and `sse` charges a stream as it goes, in steps when the quote
   * is a `StreamQuote`.
   *
   * With an `Idempotency-Key`, the answer is kept in the step that charges it. A retry gets it for nothing, and `work` does
   * not run; an answer longer than `idempotency.maxAnswerBytes` is not kept, and a retry of its request runs anew.
   */
  handle: Handle
  /** The first half of `handle`, for frameworks with their own responses; end it with `payment.settle`. Never throws. */
  begin: Begin
  /** Answers the protocol's own endpoints, `undefined` for every other request. Never throws. */
  endpoints(request: Request, asker?: Asker): Promise<Response | undefined>
  /** Verifies a voucher and judges its channel: everything before the ledger. */
  admit(voucher: Voucher.Voucher, remoteAddress?: string | undefined): Promise<Admission>
  /** A channel as the ledger or the chain knows it. */
  lookUp(channelId: Hex, remoteAddress?: string | undefined): Promise<Found>
  /** The provider's own origin, as the consumer of a request sees it. */
  originOf(request: RequestHead): string
  /** Unix seconds, by the later of local clock and chain head. */
  now(): bigint
  /** Freezes a channel, waits for what runs on it, and settles it. */
  closeChannel(channel: Channel.Channel): Promise<CloseResult>
  /** What consumers ask about their channels. */
  readonly requests: ChannelRequests
  /** The streams that wait for vouchers. */
  readonly lines: WaitingLines
  /** What is counted, for Prometheus. */
  readonly metrics: Metrics
  /** Whether the provider can do its work. */
  readonly health: Health
  /** Since `close` was called. */
  readonly isClosing: boolean
  /** Opens channels for consumers without gas, where that is turned on. */
  readonly relay: OpenRelay | undefined
  /**
   * Resolves when the ledger is sound and the node is the right one: await it before listening.
   * @throws {DrainError} `wrong_chain`, `no_contract`
   * @throws {LedgerFileError | LedgerUnavailableError | ChainUnavailableError}
   */
  ready(): Promise<void>
  /**
   * Refuses new requests (503), lets those that run end within `graceMs` and then ends them at what they cost so far, stops the
   * rounds, and closes the ledger. Later calls get the first one's result.
   */
  close(): Promise<void>
}

/**
 * A provider's paywall.
 *
 * @example
 * ```ts
 * const paywall = createPaywall({ account, chainId: 137, ledger: sqliteLedger('drain.db') })
 * const response = await paywall.handle(request, Usdc.parse('0.001'), () => new Response('paid'))
 * ```
 * @throws {UnknownDeploymentError | LedgerFileError | InvalidAmountError | InvalidDurationError}
 * @throws {DrainError} `account_invalid`, `key_elsewhere`: what is turned on takes a key, and `account` is an address.
 */
export function createPaywall(config: PaywallConfig): Paywall {
  const { chainId, clock } = config
  const account = typeof config.account === 'string' ? undefined : config.account
  const provider = addressOf(config.account)
  if (!account) assertNeedsNoKey(config)
  const { contractAddress: contract, usdcAddress: token } = config
  const deployment = config.deployment ?? Deployment.find({ chainId, contract, token })
  const domainSeparator = Domain.separator(deployment)
  const secp256k1 = selectSecp256k1(config.secp256k1)
  const verification = { provider, deployment, domainSeparator: hexToBytes(domainSeparator), secp256k1 }
  const terms = Terms.fromInput(config.terms)
  const logger = createLogger(config.log)
  const transport = rpcTransport(rpcUrlOf(config), { chainId, log: logger.warn })
  const client = createPublicClient({ chain: chainOf(chainId), transport })
  const log = (message: string) => logger.warn(message)
  const chainCheck = createChainCheck({ client, deployment })
  const reader = createChannelReader({
    client,
    deployment,
    provider,
    confirmations: config.confirmations,
    clock,
  })
  const limits = createRateLimits(config.limits)
  const minPayout = Usdc.parse(config.minPayout ?? '0.01')
  const { settle = {}, nativePrice = config.relay?.nativePrice } = config
  const plan =
    settle === false
      ? undefined
      : planRounds({ ...settle, nativePrice: settle.nativePrice ?? nativePrice }, terms, chainId)
  // Last, so that no file stays open when something else is wrong.
  const store = config.ledger({ chainId, contract: deployment.contract, provider })
  const metrics = createMetrics({
    totals: () => store.totals(),
    chainId,
    secp256k1: () => secp256k1.name,
    running: () => running.all(),
    paused: () => lines.size,
    settlement: () => figures,
  })
  const { ledger, lastWrite } = observeLedger(store, metrics, logger)
  const channels = observeChannels(reader, chainCheck, metrics)
  const running = createRunningPayments()
  const lines = createWaitingLines()
  const finality = config.finality ?? finalityOf(chainId).depth
  const settler = createSettler({
    ...{ client, deployment, ledger, channels, plan, minPayout, metrics, logger, clock },
    account: account ?? provider,
    patienceMs: drainMs,
    finality,
    maxGasPrice: config.maxGasPrice,
    nativePrice,
    running: running.on,
  })
  const { settlement, transactions, charges, drain } = settler
  const following = createFollowing({ ledger, chain: chainCheck, own: settler.following, clock })
  const figures = createSettlementFigures({
    ...{ ledger, transactions, charges, following, client, provider, now: channels.now },
    worth: settler.worth,
  })
  const closeChannel = createChannelCloser({ drain, settlement })

  const publicOrigin = config.publicUrl === undefined ? undefined : new URL(config.publicUrl).origin
  const originOf = (request: RequestHead) => publicOrigin ?? Url.originOf(request.url)

  const offerAt = (origin: string): Wire.Offer => ({
    provider,
    contract: deployment.contract,
    chainId,
    signing: `${origin}/v1/signing`,
    docs: `${origin}/v1/docs`,
    features: deployment.features,
  })

  const signers = createSignerRecovery({
    secp256k1,
    isBusy: () => shutdown.inside > 1 || !running.isEmpty,
  })
  const exposure = createExposure({ channels, finality, limit: Usdc.parse(config.exposure ?? '10') })
  const { admit, lookUp } = createAdmission({
    ...{ exposure: finality > 0n ? exposure : undefined },
    ...{ ledger, channels, terms, verification, signers },
    verified: metrics.verified,
  })

  const relay =
    config.relay &&
    account &&
    createOpenRelay(config.relay, {
      ...{
        address: provider,
        deployment,
        terms,
        account,
        client,
        transactions,
        channels,
        secp256k1,
        logger,
        metrics,
      },
    })

  const requests = createChannelRequests({
    ...{ deployment, domainSeparator, provider, ledger, lines, secp256k1, admit, lookUp, closeChannel },
    raises: createRateLimits(limitsOfRaises(config.limits)),
    allowUnsignedClose: config.allowUnsignedClose ?? false,
    now: channels.now,
  })
  const schemes = createSchemes(
    (config.schemes ?? []).map((create) =>
      create({
        ...{ deployment, provider, terms, domainSeparator, account, client, ledger, transactions, channels },
        ...{ secp256k1, relay, lookUp, requests, logger, metrics, charges },
        clock: clock ?? Date.now,
      }),
    ),
    (error) => tellFailure(logger, 'a way to pay is not ready', error),
  )

  const maxAnswerBytes = config.idempotency?.maxAnswerBytes ?? 256 * 1_024
  const begin = createBegin({
    context: {
      ...{ ledger, running, lines, maxAnswerBytes },
      failed: (error) => tellFailure(logger, 'a payment could not be settled', error),
      settings: { ...defaultStreamSettings, ...config.streams },
    },
    maxBodyBytes: config.idempotency?.maxBodyBytes ?? 1_024 * 1_024,
    admit,
    originOf,
    offerAt,
    schemes,
    limits,
    began: (beginning) => tellBeginning(beginning, metrics, logger),
    log,
    failed: (what, error) => tellFailure(logger, what, error),
  })
  const handle = createHandle(begin, maxAnswerBytes)

  if (plan) settler.start()

  const pruning = startPruning(ledger, { log: (message) => logger.info(message) })

  const shutdown = createShutdown({
    running,
    graceMs: config.graceMs ?? 30_000,
    async finish() {
      await Promise.all([settler.stop(), pruning.stop()])
      running.stop()
      chainCheck.stop()
      following.stop()
      await Promise.all([signers.close(), ledger.close()])
    },
  })
  const health = createHealth({
    ...{
      ledger,
      lastWrite,
      figures,
      chain: chainCheck,
      following,
      settlementProblem: settler.problem,
    },
    isClosing: () => shutdown.isClosing,
  })

  const paywall: Paywall = {
    config,
    deployment,
    domainSeparator,
    provider,
    terms,
    secp256k1,
    ledger,
    settlement,
    begin: (request, quote, options) =>
      shutdown.isClosing
        ? Promise.resolve({ ok: false, response: refusal(closed) })
        : shutdown.during(() => begin(request, quote, options)),
    handle: (request, quote, work, options) =>
      shutdown.isClosing
        ? Promise.resolve(refusal(closed))
        : shutdown.during(() => handle(request, quote, work, options)),
    admit,
    lookUp,
    now: channels.now,
    originOf,
    closeChannel,
    requests,
    lines,
    metrics,
    health,
    relay,
    get isClosing() {
      return shutdown.isClosing
    },
    async ready() {
      await Promise.all([ledger.ready(), chainCheck.check(), secp256k1.ready(), schemes?.ready()])
      chainCheck.watch()
      const { contract } = deployment
      logger.info('ready', { provider, chainId, contract, secp256k1: secp256k1.name, relay: Boolean(relay) })
    },
    async endpoints(request, asker) {
      try {
        return await shutdown.during(() => endpoints(request, asker))
      } catch (error) {
        tellFailure(logger, 'an endpoint failed', error)
        return refusal({ code: 'unavailable', message: 'The provider cannot answer at the moment.' })
      }
    },
    settler,
    client,
    logger,
    close: () => shutdown.close(),
  }
  const endpoints = createEndpoints(paywall, requests, schemes)
  return paywall
}

/** What sends transactions can't be turned on where there is no key. Schemes say so themselves. */
function assertNeedsNoKey({ settle, relay }: PaywallConfig): void {
  if (settle !== false)
    throw keyElsewhere('Settling', 'Pass settle: false, and run `drain-provider settle` where the key is.')
  if (relay)
    throw keyElsewhere('Opening channels for consumers', 'Leave relay out, or pass the account with its key.')
}
