/**
 * Charges without a channel: each request is paid by an authorization of its own, which is taken before the work, and cashed after it
 * and before the first byte of the answer. The value is fixed when it is signed, so the whole quote is charged.
 */
import { DrainError, type Headers, Usdc } from '@drain/core'
import type { ChannelState, FundsBegun, IdempotencyKey } from '@drain/provider'
import { keccak256, stringToBytes } from 'viem'
import { fromPayload, type SignedAuthorization, type TokenDomain } from '../authorization.ts'
import { type ChargeBudgetInput, createChargeBudget } from './chargeBudget.ts'
import {
  authorizationIn,
  type ChargeCashing,
  type ChargeContext,
  createChargeCashing,
} from './chargeCashing.ts'
import { chargedOf, createChargeFunds } from './chargeFunds.ts'
import { createChargeJudge, leastLife, notSigned } from './chargeJudge.ts'
import { type ChargeRecord, createChargeRecords } from './chargeRecords.ts'
import {
  answerGone,
  inFlight,
  isOver,
  otherRequest,
  type RefusedCharge,
  refusedBy,
  usedBefore,
} from './chargeRejections.ts'
import { createChargeSettler, type Settled, tooPoor } from './chargeSettler.ts'
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

export type Charges = {
  /** Reads the token's domain. Until then nothing is offered. @throws {DrainError} `token_domain`, `chain_unavailable` */
  ready(): Promise<void>
  /** What is wrong with an authorization by itself, if anything. @throws as `ready` */
  judge(authorization: SignedAuthorization, quote: bigint): Promise<RefusedCharge | undefined>
  /** The token's domain, once it is known. */
  readonly domain: TokenDomain | undefined
  /**
   * The least that is charged at the moment, base units; `undefined` while nothing is. The node is asked for it now and then, and
   * nobody waits for that.
   */
  readonly minimum: bigint | undefined
  /** Takes an authorization for `quote` (base units), durably. `settled` is told the transaction of what is given again. */
  begin(
    authorization: SignedAuthorization,
    ask: { quote: bigint; key?: IdempotencyKey | undefined; remoteAddress?: string | undefined },
    onSettled?: (settled: Settled) => void,
  ): Promise<FundsBegun>
}

/** How often the node is asked for what offers need, while it doesn't answer. */
const askAgainMs = 3_000
const pruneMs = 3_600_000
/**
 * @param life How long an authorization must still be good when it is taken, in seconds.
 * @throws {InvalidAmountError | DrainError} `invalid_limit`, `key_elsewhere`
 */
export function createCharges(context: ChargeContext, input: ChargeInput, life = leastLife): Charges {
  const { deployment, account, client, ledger, channels, logger, clock } = context
  const { token, chainId } = deployment
  const { contractWallets = false } = input
  if (!account) {
    const message = 'Each charge is sent with the provider’s key, and this server has only the address.'
    throw new DrainError('key_elsewhere', message, {
      action: 'Pass the account with its key, or take channels only.',
    })
  }
  const judges = createChargeJudge({ ...context, now: channels.now, contractWallets, life })
  const records = createChargeRecords(ledger.notebook, token)
  const budget = createChargeBudget(input, clock, ledger.notebook)
  const settler = createChargeSettler({
    ...{ deployment, client, contractWallets },
    account,
    transactions: context.transactions,
    now: channels.now,
    nativePrice: Usdc.parse(input.nativePrice),
    gasFactor: input.gasFactor ?? 2n,
    minAmount: Usdc.parse(input.minAmount ?? '0.001'),
    maxGas: input.maxGas ?? 150_000n,
    maxGasPrice: input.maxGasPrice ?? 500_000_000_000n,
    patienceMs: input.patienceMs,
    failed: (error) => cashing.tellFailure('the chain could not be asked about a charge', error),
  })
  const cashing: ChargeCashing = createChargeCashing(context, { records, budget, settler })
  const { cash, giveUp, note, lookLater } = cashing
  const fundsOf = createChargeFunds(context, { records, budget, cashing })
  let domain: TokenDomain | undefined
  let reading: Promise<void> | undefined
  let preparedAt = Number.NEGATIVE_INFINITY
  let prunedAt = Number.NEGATIVE_INFINITY

  async function read(): Promise<void> {
    const [found] = await Promise.all([readTokenDomain(client, deployment), settler.refresh()])
    domain = found
    // What a process that died has left.
    lookLater()
  }

  function ready(): Promise<void> {
    if (domain) return Promise.resolve()
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  /** Asks for what offers need, now and then; old prices only make an offer that is refused later. */
  function prepare(): void {
    if (performance.now() - preparedAt < askAgainMs) return
    preparedAt = performance.now()
    Promise.all([ready(), settler.refresh()]).catch(() => {})
  }

  async function judge(
    authorization: SignedAuthorization,
    quote: bigint,
  ): Promise<RefusedCharge | undefined> {
    await ready()
    return judges.judge(authorization, quote, domain as TokenDomain)
  }

  /** Whether somebody may have what was answered to a charge of the payer, though the token isn't asked again. */
  function mayHave(current: SignedAuthorization, { payload }: ChargeRecord): boolean {
    if (judges.isSigned(current, domain as TokenDomain)) return true
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

  /** What a record says to a request that comes with its authorization, or under its key. `undefined`: it is in nobody's way. */
  async function again(
    nonce: SignedAuthorization['nonce'],
    current: SignedAuthorization,
    record: ChargeRecord,
    { isSame, onSettled }: { isSame: boolean; onSettled: (settled: Settled) => void },
  ): Promise<FundsBegun | undefined> {
    const charge = { from: current.from, nonce }
    if (record.state === 'taken') {
      if (record.until > clock()) return inFlight
      // Whoever has let it lapse must not come and charge for the same request beside another.
      if (nonce !== current.nonce && !(await records.revoke(charge))) return inFlight
      return undefined
    }
    if (record.state === 'failed') return undefined
    if (!mayHave(current, record)) return notSigned
    const { block, sent, until } = record
    let { txHash } = record
    const outcome = await records.answer(charge)
    if (record.state === 'sending') {
      if (!isSame) return otherRequest
      if (!outcome) return until > clock() ? inFlight : workAgain(record, onSettled)
      // Who works for it sends it first.
      const sends = until <= clock()
      const cashed = await cash(authorizationIn(record), { block: BigInt(block), sent, sends })
      if (!cashed.ok) return isOver(cashed) ? undefined : cashed
      txHash = cashed.txHash
    }
    if (!outcome && until > clock()) return inFlight
    if (txHash) onSettled({ ok: true, txHash })
    if (!outcome) return answerGone
    const account = chargedOf(accountOf(current))
    const { channelId, charged } = account
    const costs: Headers.Costs = { channelId, cost: 0n, total: charged, remaining: 0n }
    return { ok: false, outcome, costs, account }
  }

  /**
   * A charge of which there is nothing to give any more, though nothing was given: nothing is sent for it. If it is paid, it is worked
   * for once more, for nothing. `undefined`: it isn't, and may be anew.
   */
  async function workAgain(
    record: ChargeRecord,
    onSettled: (settled: Settled) => void,
  ): Promise<FundsBegun | undefined> {
    const authorization = authorizationIn(record)
    const { sent = [] } = record
    const block = BigInt(record.block)
    const owner = crypto.randomUUID()
    const cashed = await cash(authorization, { block, sent, sends: false, owner, goesOn: true })
    if (cashed.ok) {
      if (!cashed.isFirst) return inFlight
      onSettled(cashed)
      const leave = () => {}
      const account = accountOf(authorization)
      const funds = fundsOf({ authorization, account, owner, block, leave, onSettled, isPaid: true })
      return { ok: true, funds }
    }
    if (cashed.failure !== 'unsent') return isOver(cashed) ? undefined : cashed
    if (!(await records.revoke(authorization, sent.length))) return inFlight
    await giveUp(authorization)
    return undefined
  }

  async function begin(
    authorization: SignedAuthorization,
    {
      quote,
      key,
      remoteAddress,
    }: { quote: bigint; key?: IdempotencyKey | undefined; remoteAddress?: string | undefined },
    onSettled: (settled: Settled) => void = () => {},
  ): Promise<FundsBegun> {
    const misfit = await judge(authorization, quote)
    if (misfit) return misfit
    const { from } = authorization
    const keyed = key && (await records.keyed(from, key.id))
    if (key && keyed) {
      const record = await records.get({ from, nonce: keyed.nonce })
      const isSame = keyed.fingerprint === key.fingerprint
      const given = record && (await again(keyed.nonce, authorization, record, { isSame, onSettled }))
      if (given) return isSame ? given : otherRequest
    }
    const known = await records.get(authorization)
    if (known && !(known.state === 'taken' && known.until <= clock())) return usedBefore
    const isSigned = !contractWallets || judges.isSigned(authorization, domain as TokenDomain)
    const refused =
      judges.judgeLife(authorization) ?? (await budget.ask(authorization, { isSigned, remoteAddress }))
    if (refused) return refused
    const checked = await settler.check(authorization)
    if (!checked.ok) return refusedBy(checked)
    const { block, balance } = checked
    const place = await budget.enter(authorization, balance)
    if (place === 'poor') return refusedBy(tooPoor)
    if (!place.ok) return place
    let isTaken = false
    try {
      const owner = crypto.randomUUID()
      // Where another copy of it was faster, the place is that one's.
      if (!(await records.take(authorization, { owner, block, key })).ok) return usedBefore
      if (key && !(await records.bindKey(authorization, key, keyed))) {
        if (await records.release(authorization, owner)) await budget.end(authorization, 'released')
        return inFlight
      }
      prune()
      lookLater()
      isTaken = true
      const { leave } = place
      const account = accountOf(authorization)
      return { ok: true, funds: fundsOf({ authorization, account, owner, block, leave, onSettled }) }
    } catch (error) {
      await note('a place was not given back', () => budget.end(authorization, 'released'))
      throw error
    } finally {
      if (!isTaken) place.leave()
    }
  }

  function prune(): void {
    if (performance.now() - prunedAt < pruneMs) return
    prunedAt = performance.now()
    Promise.all([records.prune(channels.now()), budget.prune()]).catch(() =>
      logger.warn('old charges could not be forgotten', {}),
    )
  }

  return {
    ready,
    judge,
    get domain() {
      return domain
    },
    get minimum() {
      prepare()
      return domain && settler.minimum
    },
    begin,
  }
}
