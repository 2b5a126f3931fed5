/**
 * Charges without a channel: each request is paid by an authorization of its own, which is taken before the work, and cashed after it
 * and before the first byte of the answer. The value is fixed when it is signed, so the whole quote is charged.
 */
import { type Headers, InvalidFormatError, Signature, Usdc } from '@drain/core'
import {
  type CaptureResult,
  type ChannelState,
  type Funds,
  type FundsBegun,
  type IdempotencyKey,
  PaymentFailedError,
  type SchemeContext,
} from '@drain/provider'
import { hexToBytes, keccak256, stringToBytes } from 'viem'
import {
  authorizationDigest,
  fromPayload,
  type SignedAuthorization,
  type TokenDomain,
  toPayload,
} from '../authorization.ts'
import { type ChargeBudgetInput, createChargeBudget } from './chargeBudget.ts'
import { createHoldings, type Hold } from './chargeHoldings.ts'
import { type ChargeRecord, createChargeRecords } from './chargeRecords.ts'
import {
  inFlight,
  isOver,
  otherRequest,
  type RefusedCharge,
  refuseCharge,
  refusedBy,
  usedBefore,
} from './chargeRejections.ts'
import { createChargeSettler, type Settled } from './chargeSettler.ts'
import { readTokenDomain } from './chargeToken.ts'

/** Turns charges on. */
export type ChargeInput = ChargeBudgetInput & {
  /** What the chain's own coin costs, in USDC, such as `'0.25'`: to tell what gas costs. Review it now and then. */
  nativePrice: string
  /** A charge must be at least this many times what its transfer costs in gas. Default 2. */
  gasFactor?: bigint | undefined
  /** The smallest charge, in USDC. Default 0.001. */
  minAmount?: string | undefined
  /** Wei per gas: while gas costs more, no charges are taken. Default 500 gwei. */
  maxGasPrice?: bigint | undefined
  /** The most gas that one transfer may take. Default 150,000. */
  maxGas?: bigint | undefined
  /**
   * Takes charges also of accounts with code (contract wallets, EIP-7702). Trap: their code decides whether a signature is good, and
   * may decide otherwise once the work is done. Default false.
   */
  contractWallets?: boolean | undefined
  /** How long a transfer is waited for, in milliseconds. Default 45,000. */
  patienceMs?: number | undefined
}

export type ChargeContext = Pick<
  SchemeContext,
  'deployment' | 'provider' | 'account' | 'client' | 'ledger' | 'transactions' | 'secp256k1' | 'clock'
> & {
  channels: Pick<SchemeContext['channels'], 'now'>
  logger: Pick<SchemeContext['logger'], 'info' | 'warn'>
}

export type Charges = {
  /** Reads the token's domain. Until then nothing is offered. @throws {DrainError} `token_domain`, `chain_unavailable` */
  ready(): Promise<void>
  /** The token's domain, once it is known. */
  readonly domain: TokenDomain | undefined
  /** The least that is charged at the moment, base units. */
  readonly minimum: bigint
  /** Takes an authorization for `quote` (base units), durably. `settled` is told the transaction of what is given again. */
  begin(
    authorization: SignedAuthorization,
    ask: { quote: bigint; key?: IdempotencyKey | undefined },
    onSettled?: (settled: Settled) => void,
  ): Promise<FundsBegun>
}

/** How far ahead an authorization may end, in seconds: its record is kept until then. */
const maxAhead = 3_600n
const skewSeconds = 10n
const pruneMs = 3_600_000

/** @throws {InvalidAmountError | DrainError} `invalid_limit` */
export function createCharges(context: ChargeContext, input: ChargeInput): Charges {
  const { deployment, client, ledger, channels, secp256k1, logger, clock } = context
  const { token, chainId } = deployment
  const { contractWallets = false } = input
  const provider = context.provider.toLowerCase()
  const records = createChargeRecords(ledger.notebook, token)
  const budget = createChargeBudget(input, clock)
  const holdings = createHoldings()
  const settler = createChargeSettler({
    ...{ deployment, client, contractWallets },
    account: context.account,
    transactions: context.transactions,
    now: channels.now,
    nativePrice: Usdc.parse(input.nativePrice),
    gasFactor: input.gasFactor ?? 2n,
    minAmount: Usdc.parse(input.minAmount ?? '0.001'),
    maxGas: input.maxGas ?? 150_000n,
    maxGasPrice: input.maxGasPrice ?? 500_000_000_000n,
    patienceMs: input.patienceMs,
  })
  let domain: TokenDomain | undefined
  let reading: Promise<void> | undefined
  let prunedAt = Number.NEGATIVE_INFINITY

  async function read(): Promise<void> {
    const [found] = await Promise.all([readTokenDomain(client, deployment), settler.refresh()])
    domain = found
  }

  function ready(): Promise<void> {
    if (domain) return Promise.resolve()
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  /** What is wrong with an authorization by itself, and by the clock. */
  function judge(
    authorization: SignedAuthorization,
    quote: bigint,
    domain: TokenDomain,
  ): RefusedCharge | undefined {
    const { to, value, validAfter, validBefore } = authorization
    if (to !== provider)
      return refuseCharge('wrong_provider', `Only charges to ${provider} are taken.`, 'verification-failed')
    if (value !== quote || value === 0n) {
      const message = `The authorization is for ${Usdc.display(value)}, this request costs ${Usdc.display(quote)}.`
      return refuseCharge('insufficient_funds', message, 'verification-failed')
    }
    const now = channels.now()
    if (validBefore <= now + skewSeconds) {
      const message = 'The authorization has expired, or does so before it can be mined.'
      return refuseCharge('invalid_signature', message, 'payment-expired')
    }
    if (validBefore > now + maxAhead) {
      const message = 'validBefore must be at most an hour ahead.'
      return refuseCharge('invalid_signature', message, 'verification-failed')
    }
    if (validAfter >= now)
      return refuseCharge('invalid_signature', 'The authorization is not valid yet.', 'verification-failed')
    // Wallets with code have signatures that only the token can judge.
    return contractWallets || isSigned(authorization, domain) ? undefined : notSigned
  }

  /** Whether the payer's own key made the signature, as the token checks it for accounts without code. */
  function isSigned(authorization: SignedAuthorization, domain: TokenDomain): boolean {
    const digest = hexToBytes(authorizationDigest(authorization, domain))
    return Signature.isValid(digest, authorization.signature, authorization.from, secp256k1)
  }

  /** Whether somebody may have what was answered to a charge of the payer, though the token isn't asked again. */
  function mayHave(current: SignedAuthorization, { payload }: ChargeRecord): boolean {
    if (isSigned(current, domain as TokenDomain)) return true
    if (payload === undefined) return false
    const { nonce, signature } = fromPayload(JSON.parse(payload))
    return nonce === current.nonce && signature === current.signature
  }

  /** What stands in for a channel: one for each payer. */
  function accountOf({ from, value, validBefore }: SignedAuthorization): ChannelState {
    const name = `evm/charge|${chainId}|${token}|${from}`.toLowerCase()
    const nothing = { claimed: 0n, charged: 0n, requests: 0n, claiming: 0n }
    const none = { finalAmount: undefined, nonce: undefined, highest: undefined, claimable: undefined }
    return {
      channelId: keccak256(stringToBytes(name)),
      ...{ consumer: from, provider: context.provider, deposit: value, expiry: validBefore, ...nothing },
      ...{ status: 'open', firstSeen: channels.now(), authorized: value, reserved: value, alarm: false },
      ...none,
    }
  }

  /** Cashes what work was done for, and writes down what came of it. */
  async function cash(
    authorization: SignedAuthorization,
    block: bigint,
  ): Promise<Settled | (RefusedCharge & { isOver: boolean })> {
    const settled = await settler.settle(authorization, block)
    const { from, value } = authorization
    if (settled.ok) {
      await records.settle(authorization, settled.txHash)
      logger.info('charged', { from, amount: Usdc.display(value), txHash: settled.txHash })
      return settled
    }
    logger.warn('a charge was not settled', { from, failure: settled.failure })
    if (isOver(settled)) await records.fail(authorization)
    return { ...refusedBy(settled), isOver: isOver(settled) }
  }

  /** What a record says to a request that comes with its authorization, or under its key. `undefined`: it is in nobody's way. */
  async function again(
    nonce: SignedAuthorization['nonce'],
    current: SignedAuthorization,
    record: ChargeRecord,
    onSettled: (settled: Settled) => void,
  ): Promise<FundsBegun | undefined> {
    if (record.state === 'taken') return record.until > clock() ? inFlight : undefined
    if (record.state === 'failed') return undefined
    if (!mayHave(current, record)) return notSigned
    const charge = { from: current.from, nonce }
    let { txHash } = record
    if (record.state === 'sending') {
      const cashed = await cash(readPayload(record), BigInt(record.block))
      if (!cashed.ok) return cashed.isOver ? undefined : cashed
      txHash = cashed.txHash
    }
    const outcome = await records.answer(charge)
    if (!outcome) return undefined
    if (txHash) onSettled({ ok: true, txHash })
    const account = chargedOf(accountOf(current))
    const { channelId, charged } = account
    const costs: Headers.Costs = { channelId, cost: 0n, total: charged, remaining: 0n }
    return { ok: false, outcome, costs, account }
  }

  async function begin(
    authorization: SignedAuthorization,
    { quote, key }: { quote: bigint; key?: IdempotencyKey | undefined },
    onSettled: (settled: Settled) => void = () => {},
  ): Promise<FundsBegun> {
    await ready()
    const misfit = judge(authorization, quote, domain as TokenDomain)
    if (misfit) return misfit
    const { from, nonce } = authorization
    const keyed = key && (await records.keyed(from, key.id))
    if (key && keyed) {
      const record = await records.get({ from, nonce: keyed.nonce })
      const given = record && (await again(keyed.nonce, authorization, record, onSettled))
      if (given) return keyed.fingerprint === key.fingerprint ? given : otherRequest
    }
    const known = await records.get(authorization)
    if (known && !(known.state === 'taken' && known.until <= clock())) return usedBefore
    if (!budget.take(from)) {
      const message = 'Too many charges at the moment: pay from a channel, or later.'
      return refuseCharge('rate_limited', message, undefined, 60)
    }
    const hold = holdings.hold(authorization)
    try {
      const checked = await settler.check(authorization, hold.others)
      if (!checked.ok) return refusedBy(checked)
      const { block } = checked
      const owner = crypto.randomUUID()
      const taken = await records.take(authorization, { owner, block, key })
      if (!taken.ok) return usedBefore
      if (key && !(await records.bindKey(from, key, nonce, keyed))) {
        await records.release(authorization, owner)
        return inFlight
      }
      prune()
      hold.keep()
      return { ok: true, funds: fundsOf(authorization, { owner, block, hold, onSettled }) }
    } finally {
      hold.endUnlessKept()
    }
  }

  function fundsOf(
    authorization: SignedAuthorization,
    taken: { owner: string; block: bigint; hold: Hold; onSettled: (settled: Settled) => void },
  ): Funds {
    const { owner, block, hold, onSettled } = taken
    const { from, value } = authorization
    const account = accountOf(authorization)
    const charged = chargedOf(account)
    const released: ChannelState = { ...account, reserved: 0n }
    let state: 'taken' | 'settled' | 'ended' = 'taken'

    async function settle(outcome: Uint8Array | undefined): Promise<void> {
      const payload = JSON.stringify(toPayload(authorization))
      if (!(await records.beginSending(authorization, owner, payload, outcome)))
        throw new PaymentFailedError(usedBefore.rejection)
      const cashed = await cash(authorization, block)
      if (!cashed.ok) {
        if (cashed.isOver) budget.failed(from)
        throw new PaymentFailedError(cashed.rejection)
      }
      state = 'settled'
      onSettled(cashed)
    }

    async function capture(
      cost: bigint,
      { final = true, outcome }: { final?: boolean; outcome?: Uint8Array | undefined },
    ): Promise<CaptureResult> {
      if (state === 'ended') return { ok: false, code: 'reservation_ended', state: account }
      if (state === 'taken' && cost > 0n) {
        // Whatever comes of it: it is not tried twice.
        state = 'ended'
        await settle(outcome).finally(hold.end)
      } else if (state === 'taken' && final) {
        state = 'ended'
        await records.release(authorization, owner).finally(hold.end)
        return { ok: true, captured: 0n, held: 0n, state: released }
      }
      if (!final) return { ok: true, captured: cost, held: value - cost, state: account }
      state = 'ended'
      return { ok: true, captured: value, held: 0n, state: charged }
    }

    return {
      account,
      consumer: from,
      capture,
      renew: () => (state === 'taken' ? records.renew(authorization, owner) : Promise.resolve(true)),
    }
  }

  function prune(): void {
    if (performance.now() - prunedAt < pruneMs) return
    prunedAt = performance.now()
    records.prune(channels.now()).catch(() => logger.warn('old charges could not be forgotten', {}))
  }

  return {
    ready,
    get domain() {
      return domain
    },
    get minimum() {
      // Old prices only make an offer that is refused later.
      settler.refresh().catch(() => {})
      return settler.minimum
    },
    begin,
  }
}

const notSigned = refuseCharge('invalid_signature', 'The payer did not sign this.', 'verification-failed')

function chargedOf(account: ChannelState): ChannelState {
  return { ...account, reserved: 0n, charged: account.deposit, requests: 1n }
}

function readPayload({ payload }: ChargeRecord): SignedAuthorization {
  if (payload === undefined) throw new InvalidFormatError('charge record', 'it has no authorization')
  return fromPayload(JSON.parse(payload))
}
