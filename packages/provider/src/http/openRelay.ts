/**
 * `POST /v1/open`: sends the transaction that opens a channel to this provider, for a consumer that has USDC and no gas.
 *
 * The provider spends gas for strangers here. So: everything that can be judged offline is judged first, the transaction is
 * simulated before it is sent, gas and its price are capped, and budgets per minute, per day and per consumer bound what all of it
 * can cost, however many accounts a thief has. The consumer can't lose anything: its signature binds every field.
 */
import {
  Channel,
  ContractError,
  type Deployment,
  DrainError,
  Duration,
  GaslessOpen,
  InvalidFormatError,
  Signature,
  TransactionRevertedError,
  Usdc,
} from '@drain/core'
import {
  type Account,
  type Address,
  type Hex,
  type PublicClient,
  parseAbi,
  parseEventLogs,
  type TransactionReceipt,
} from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import type { Logger } from '../observe/Log.ts'
import type { Metrics } from '../observe/Metrics.ts'
import type { Entry } from '../settle/Journal.ts'
import type { Transactions } from '../settle/Transactions.ts'
import type { Terms } from '../verify/Terms.ts'
import { createRelayBudget, type RelayBudgetInput } from './relayBudget.ts'

/** Turns the relay on. */
export type RelayInput = RelayBudgetInput & {
  /** What the chain's own coin costs, in USDC, such as `'0.25'`: to tell what gas costs. Review it now and then. */
  nativePrice: string
  /** A deposit must be at least this many times what its opening costs in gas. Default 20. */
  gasFactor?: bigint | undefined
  /** The smallest deposit that is relayed, in USDC. Default, and at least: the terms' minimum. */
  minDeposit?: string | undefined
  /** Wei per gas: while gas costs more, nothing is relayed. Default 500 gwei. */
  maxGasPrice?: bigint | undefined
  /** The most gas that one opening may take. Default 400,000. */
  maxGas?: bigint | undefined
  /**
   * Opens also for accounts with code (contract wallets, EIP-7702). Trap: their code decides whether a signature is good, and
   * may decide otherwise once the transaction is mined; the gas is lost then. Default false.
   */
  contractWallets?: boolean | undefined
}

/** What is relayed, for `/v1/pricing`: USDC and seconds. */
export type RelayTerms = { minDeposit: string; maxValidity: number }

/** An open channel, or why there is none. `txHash` where this relay's own transaction opened it. */
export type Relayed =
  | { ok: true; channelId: Hex; txHash?: Hex }
  | { ok: false; code: RelayCode; message: string; channelId?: Hex; txHash?: Hex; retryAfterSeconds?: number }

export type RelayCode = keyof typeof relayStatuses

/** HTTP status of every refusal. */
export const relayStatuses = {
  invalid_request: 400,
  wrong_provider: 400,
  channel_terms: 400,
  authorization_expired: 400,
  invalid_signature: 400,
  insufficient_balance: 400,
  authorization_used: 409,
  open_reverted: 422,
  rate_limited: 429,
  gas_price: 503,
  open_pending: 503,
  unavailable: 503,
} as const

export type OpenRelay = {
  terms: RelayTerms
  /** Opens, or says why not. `body`: the parsed JSON of a request. Never throws. */
  open(body: unknown): Promise<Relayed>
}

/** A transaction needs some time to be mined: an authorization that ends within this many seconds may be too late. */
const miningSeconds = 15n
/** Consumers' clocks are not ours. Seconds. */
const skewSeconds = 30n
const remembered = 10_000
const tokenAbi = parseAbi(['function DOMAIN_SEPARATOR() view returns (bytes32)'])

/** @throws {InvalidAmountError | DrainError} `invalid_limit` */
export function createOpenRelay(
  input: RelayInput,
  provider: {
    address: Address
    deployment: Deployment.Deployment
    terms: Terms
    account: Account
    client: PublicClient
    transactions: Pick<Transactions, 'send' | 'mined'>
    channels: Pick<ChannelReader, 'read' | 'forget' | 'now'>
    secp256k1: Signature.Secp256k1
    logger: Logger
    metrics: Pick<Metrics, 'relays'>
  },
): OpenRelay {
  const { deployment, terms, account, client, transactions, channels, secp256k1, logger, metrics } = provider
  const { contractWallets = false, maxGas = 400_000n, maxGasPrice = 500_000_000_000n } = input
  const { gasFactor = 20n } = input
  const nativePrice = Usdc.parse(input.nativePrice)
  const minDeposit = largest(terms.minDeposit, input.minDeposit ? Usdc.parse(input.minDeposit) : 0n)
  const budget = createRelayBudget(input)
  /** Concurrent requests for one channel share an attempt. */
  const running = new Map<Hex, Promise<Relayed>>()
  const opened = new Map<Hex, Hex>()
  /** Sent, and not known to be mined or not. Sending the same again would only burn gas. */
  const pending = new Map<Hex, Entry>()
  let queue: Promise<unknown> = Promise.resolve()
  let tokenSeparator: Promise<Hex> | undefined

  /** One at a time, so that the same request is not sent twice. */
  function inTurn<result>(work: () => Promise<result>): Promise<result> {
    const turn = queue.then(work)
    queue = turn.catch(() => {})
    return turn
  }

  async function open(body: unknown): Promise<Relayed> {
    let request: GaslessOpen.GaslessOpen
    try {
      request = GaslessOpen.fromJson(body)
    } catch (error) {
      if (!(error instanceof InvalidFormatError)) throw error
      return refuse('invalid_request', error.message)
    }
    const misfit = judge(request)
    if (misfit) return misfit
    const channelId = Channel.computeId(deployment, request, 'relayed')
    const known = opened.get(channelId)
    if (known) return { ok: true, channelId, txHash: known }
    const under = running.get(channelId)
    if (under) return under
    if (!contractWallets && !(await isSigned(request))) return wrongSignature
    if (!budget.takeAttempt()) return tooMany(60)
    const attempt = relay(request, channelId).finally(() => running.delete(channelId))
    running.set(channelId, attempt)
    return attempt
  }

  /** What is wrong with a request, by itself and by the clock. */
  function judge(request: GaslessOpen.GaslessOpen): Relayed | undefined {
    if (request.provider !== provider.address.toLowerCase()) {
      return refuse('wrong_provider', `Only channels to ${provider.address} are opened here.`)
    }
    if (request.amount < minDeposit) {
      return refuse('channel_terms', `The deposit must be at least ${Usdc.display(minDeposit)}.`)
    }
    if (request.duration < terms.minDuration || request.duration > terms.maxDuration) {
      const [least, most] = [terms.minDuration, terms.maxDuration].map(Duration.format)
      return refuse('channel_terms', `The duration must be ${least} to ${most}.`)
    }
    return judgeTime(request)
  }

  function judgeTime({ validAfter, validBefore }: GaslessOpen.GaslessOpen): Relayed | undefined {
    const now = channels.now()
    if (validBefore <= now + miningSeconds) {
      return refuse(
        'authorization_expired',
        'The authorization has expired, or does so before it can be mined.',
      )
    }
    if (validBefore > now + GaslessOpen.maxAge + skewSeconds) {
      return refuse('invalid_request', 'validBefore must be at most ten minutes ahead.')
    }
    if (validAfter >= now) return refuse('invalid_request', 'The authorization is not valid yet.')
    return undefined
  }

  /** Whether the consumer's own key made the signature, as the token checks it for accounts without code. */
  async function isSigned(request: GaslessOpen.GaslessOpen): Promise<boolean> {
    tokenSeparator ??= client
      .readContract({ address: deployment.token, abi: tokenAbi, functionName: 'DOMAIN_SEPARATOR' })
      .catch((error) => {
        tokenSeparator = undefined
        throw error
      })
    const digest = GaslessOpen.digest(request, deployment.contract, await tokenSeparator)
    return Signature.isValid(digest, request.signature, request.consumer, secp256k1)
  }

  async function relay(request: GaslessOpen.GaslessOpen, channelId: Hex): Promise<Relayed> {
    if (!contractWallets) {
      const code = await client.getCode({ address: request.consumer })
      if (code && code !== '0x') {
        return refuse(
          'invalid_signature',
          'Accounts with code are not served here: open the channel yourself.',
        )
      }
    }
    const sent = await inTurn(async (): Promise<Relayed | Entry> => {
      const before = pending.get(channelId)
      if (before) return before
      if (await exists(channelId)) return { ok: true, channelId }
      return judgeTime(request) ?? send(request, channelId)
    })
    // Out of turn: one that is not mined must not hold up claims.
    return 'nonce' in sent ? outcome(channelId, sent) : sent
  }

  /** The transaction, or why there is none. */
  async function send(request: GaslessOpen.GaslessOpen, channelId: Hex): Promise<Relayed | Entry> {
    const { validAfter, validBefore, signature, ...opening } = request
    const call = {
      address: deployment.contract,
      abi: ContractError.callAbi,
      functionName: 'openWithAuthorization',
      args: [opening, validAfter, validBefore, signature],
    } as const
    let estimate: bigint
    try {
      await client.simulateContract({ ...call, account })
      estimate = await client.estimateContractGas({ ...call, account })
    } catch (error) {
      // Somebody else may have sent the same: what counts is the channel.
      if (await exists(channelId)) return { ok: true, channelId }
      return explain(ContractError.fromRevert(error, { channelId }))
    }
    const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
    if (maxFeePerGas > maxGasPrice) {
      return { ...refuse('gas_price', 'Gas is too expensive at the moment.'), retryAfterSeconds: 60 }
    }
    if (estimate > maxGas) return refuse('open_reverted', 'The opening takes too much gas.')
    const gas = smallest((estimate * 12n) / 10n, maxGas)
    const needed = largest(minDeposit, gasFactor * inUsdc(gas * maxFeePerGas))
    if (opening.amount < needed) {
      return refuse(
        'channel_terms',
        `At this price of gas the deposit must be at least ${Usdc.display(needed)}.`,
      )
    }
    const budgeted = budget.takeTransaction(opening.consumer)
    if (!budgeted.ok) return tooMany(budgeted.retryAfterSeconds)
    const { functionName, args } = call
    const fees = { gas, maxFeePerGas, maxPriorityFeePerGas, limit: maxGasPrice }
    const entry = await transactions.send({ kind: 'open', functionName, args, takes: [], fees })
    remember(pending, channelId, entry)
    return entry
  }

  /** What became of a transaction of ours, read from its receipt. */
  async function outcome(channelId: Hex, sent: Entry): Promise<Relayed> {
    const { entry, receipt } = await transactions.mined(sent)
    if (!receipt && entry.state !== 'replaced') {
      const message =
        'The opening was sent and is not mined yet. Look for the channel, or send the same again.'
      const txHash = entry.attempts.at(-1)?.hash
      return {
        ok: false,
        code: 'open_pending',
        message,
        channelId,
        ...(txHash && { txHash }),
        retryAfterSeconds: 10,
      }
    }
    pending.delete(channelId)
    channels.forget(channelId)
    if (receipt?.status === 'success' && hasOpened(receipt, channelId)) {
      remember(opened, channelId, receipt.transactionHash)
      return { ok: true, channelId, txHash: receipt.transactionHash }
    }
    // Front-run: the same authorization in somebody else's transaction opens the same channel.
    if (await exists(channelId)) return { ok: true, channelId }
    return refuse('open_reverted', 'The opening was mined and failed. Nothing was locked.')
  }

  function hasOpened(receipt: TransactionReceipt, channelId: Hex): boolean {
    const { logs } = receipt
    return parseEventLogs({ abi: ContractError.callAbi, eventName: 'ChannelOpened', logs }).some(
      (log) =>
        log.address.toLowerCase() === deployment.contract.toLowerCase() && log.args.channelId === channelId,
    )
  }

  async function exists(channelId: Hex): Promise<boolean> {
    if (!Channel.exists(await channels.read(channelId))) return false
    channels.forget(channelId)
    return true
  }

  /** Base units of a sum in wei, rounded up. */
  const inUsdc = (wei: bigint) => (wei * nativePrice + 10n ** 18n - 1n) / 10n ** 18n

  return {
    terms: { minDeposit: Usdc.format(minDeposit), maxValidity: Number(GaslessOpen.maxAge) },
    async open(body) {
      const relayed = await open(body).catch((error): Relayed => {
        // Messages of others may carry the node's URL.
        logger.error('a gasless open failed', {
          code: error instanceof DrainError ? error.code : 'unavailable',
        })
        const message = 'The channel cannot be opened at the moment. Look for it before you try again.'
        return { ok: false, code: 'unavailable', message, retryAfterSeconds: 5 }
      })
      metrics.relays(relayed.ok ? 'opened' : relayed.code)
      const { channelId, txHash } = relayed
      if (txHash)
        logger.info(relayed.ok ? 'relayed an open' : 'a relayed open is pending', { channelId, txHash })
      else if (!relayed.ok) logger.debug('refused to relay an open', { code: relayed.code })
      return relayed
    },
  }
}

function explain(error: unknown): Relayed {
  if (!(error instanceof DrainError)) throw error
  if (error.code === 'insufficient_balance') {
    return refuse('insufficient_balance', 'The consumer holds less USDC than the deposit.')
  }
  if (error instanceof TransactionRevertedError) {
    if (/used or canceled/i.test(error.reason)) {
      return refuse(
        'authorization_used',
        'The authorization was used or cancelled before, and there is no such channel.',
      )
    }
    if (/signature/i.test(error.reason)) return wrongSignature
    if (/expired|not yet valid/i.test(error.reason)) {
      return refuse('authorization_expired', 'The authorization is not valid at this time.')
    }
  }
  return refuse('open_reverted', 'The contract or the token refuses this opening.')
}

const wrongSignature = refuse(
  'invalid_signature',
  'The signature is not the consumer’s over ReceiveWithAuthorization, with the hash of the opening as its nonce, in the token’s domain.',
)

function refuse(code: RelayCode, message: string): Relayed & { ok: false } {
  return { ok: false, code, message }
}

function tooMany(retryAfterSeconds: number): Relayed {
  return {
    ...refuse('rate_limited', 'No more channels are opened for others at the moment.'),
    retryAfterSeconds,
  }
}

/** A map that forgets its oldest entry over a size. */
function remember<value>(map: Map<Hex, value>, key: Hex, value: value): void {
  map.set(key, value)
  const [oldest] = map.keys()
  if (oldest && map.size > remembered) map.delete(oldest)
}

const largest = (a: bigint, b: bigint) => (a > b ? a : b)
const smallest = (a: bigint, b: bigint) => (a < b ? a : b)
