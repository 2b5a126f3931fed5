/**
 * Charges without a channel: each request is paid by an authorization of its own, which is taken before the work, and cashed after it
 * and before the first byte of the answer. The value is fixed when it is signed, so the whole quote is charged.
 */
import { DrainError, type Headers, InvalidFormatError, Usdc } from '@drain/core'
import {
  type CaptureResult,
  type ChannelState,
  type Funds,
  type FundsBegun,
  type IdempotencyKey,
  PaymentFailedError,
  type SchemeContext,
} from '@drain/provider'
import { keccak256, stringToBytes } from 'viem'
import { fromPayload, type SignedAuthorization, type TokenDomain, toPayload } from '../authorization.ts'
import { type ChargeBudgetInput, createChargeBudget } from './chargeBudget.ts'
import { createChargeJudge, notSigned } from './chargeJudge.ts'
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
import {
  createChargeSettler,
  failedForGood,
  type Refusal,
  type Settled,
  tooPoor,
  unknown,
} from './chargeSettler.ts'
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
  | 'deployment'
  | 'provider'
  | 'account'
  | 'client'
  | 'ledger'
  | 'transactions'
  | 'charges'
  | 'secp256k1'
  | 'metrics'
  | 'clock'
> & {
  channels: Pick<SchemeContext['channels'], 'now'>
  logger: Pick<SchemeContext['logger'], 'info' | 'warn'>
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
/** When what could not be written down after a transfer was mined is tried again, in milliseconds. */
const writeAgainMs = [1_000, 10_000, 60_000]
const pruneMs = 3_600_000
/** How often the transfer of one charge is sent: once more after one that has failed for good, since each costs its gas. */
const mostSendings = 2

/** @throws {InvalidAmountError | DrainError} `invalid_limit` */
export function createCharges(context: ChargeContext, input: ChargeInput): Charges {
  const { deployment, client, ledger, channels, metrics, logger, clock } = context
  const { token, chainId } = deployment
  const { contractWallets = false } = input
  const judges = createChargeJudge({ ...context, now: channels.now, contractWallets })
  const records = createChargeRecords(ledger.notebook, token)
  const budget = createChargeBudget(input, clock, ledger.notebook)
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
    failed: (error) => tellFailure('the chain could not be asked about a charge', error),
  })
  let domain: TokenDomain | undefined
  let reading: Promise<void> | undefined
  let preparedAt = Number.NEGATIVE_INFINITY
  let prunedAt = Number.NEGATIVE_INFINITY

  /** Messages of others may carry the node's URL. */
  function tellFailure(what: string, error: unknown): void {
    const code = error instanceof DrainError ? error.code : error instanceof Error ? error.name : 'unknown'
    logger.warn(what, { code })
  }

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

  /** Writes what the answer doesn't depend on: what fails is tried again, while nobody waits for it. */
  async function note(what: string, write: () => Promise<unknown>, attempt = 0): Promise<void> {
    try {
      await write()
    } catch (error) {
      tellFailure(what, error)
      const delay = writeAgainMs[attempt]
      if (delay !== undefined) setTimeout(() => void note(what, write, attempt + 1), delay).unref?.()
    }
  }

  /**
   * Cashes what work was done for, and writes down what came of it.
   * @param ask.goesOn The answer is a stream that goes on.
   * @param ask.sendings How often its transfer was sent before.
   */
  async function cash(
    authorization: SignedAuthorization,
    {
      block,
      goesOn = false,
      sendings = 0,
    }: { block: bigint; goesOn?: boolean; sendings?: number | undefined },
  ): Promise<Settled | (RefusedCharge & { isOver: boolean })> {
    const settled = await settler.settle(authorization, block, {
      refuse: async () => (sendings > 0 ? refuseAgain(authorization, sendings) : undefined),
      sent: () => note('that a charge was sent is not counted', () => records.countSending(authorization)),
    })
    const { from, value } = authorization
    if (settled.ok) {
      const { txHash } = settled
      // Before anything is given for it. But it is paid: whatever fails here, the answer is given.
      await note('that a charge is answered is not written down', () =>
        context.charges.give(authorization, txHash),
      )
      await note('that a charge is settled is not written down', () =>
        records.settle(authorization, txHash, goesOn),
      )
      await note('a settled charge was not counted', () => budget.end(authorization, 'settled'))
      metrics.charges('settled', value)
      logger.info('charged', { from, amount: Usdc.display(value), txHash: settled.txHash })
      return settled
    }
    logger.warn('a charge was not settled', { from, failure: settled.failure })
    const over = isOver(settled)
    const hasFailed = over || settled.failure === 'reverted'
    if (hasFailed) await countFailure(authorization)
    else metrics.charges('pending')
    if (over) await records.fail(authorization)
    return { ...refusedBy(settled), isOver: over }
  }

  function countFailure(authorization: SignedAuthorization): Promise<void> {
    return note('a failed charge was not counted', async () => {
      if (await budget.end(authorization, 'failed')) metrics.charges('failed')
    })
  }

  /**
   * Whether a transfer is not to be sent again. The journal has settled the one before, and the token would still take it: that has
   * failed for good, and the payer may let this one fail too.
   */
  async function refuseAgain(
    authorization: SignedAuthorization,
    sendings: number,
  ): Promise<Refusal | undefined> {
    await countFailure(authorization)
    return sendings < mostSendings && (await budget.enterAgain(authorization)) ? undefined : failedForGood
  }

  /** What a record says to a request that comes with its authorization, or under its key. `undefined`: it is in nobody's way. */
  async function again(
    nonce: SignedAuthorization['nonce'],
    current: SignedAuthorization,
    record: ChargeRecord,
    onSettled: (settled: Settled) => void,
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
    let { txHash, until } = record
    if (record.state === 'sending') {
      // Who works for it may be about to begin a stream.
      const goesOn = until > clock()
      const { block, sendings } = record
      const cashed = await cash(authorizationIn(record), { block: BigInt(block), goesOn, sendings })
      if (!cashed.ok) return cashed.isOver ? undefined : cashed
      txHash = cashed.txHash
      until = (await records.get(charge))?.until ?? 0
    }
    const outcome = await records.answer(charge)
    if (!outcome && until > clock()) return inFlight
    if (txHash) onSettled({ ok: true, txHash })
    if (!outcome) return answerGone
    const account = chargedOf(accountOf(current))
    const { channelId, charged } = account
    const costs: Headers.Costs = { channelId, cost: 0n, total: charged, remaining: 0n }
    return { ok: false, outcome, costs, account }
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
      const given = record && (await again(keyed.nonce, authorization, record, onSettled))
      if (given) return keyed.fingerprint === key.fingerprint ? given : otherRequest
    }
    const known = await records.get(authorization)
    if (known && !(known.state === 'taken' && known.until <= clock())) return usedBefore
    const refused = judges.judgeLife(authorization) ?? (await budget.ask(authorization, remoteAddress))
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
      isTaken = true
      return { ok: true, funds: fundsOf(authorization, { owner, block, leave: place.leave, onSettled }) }
    } catch (error) {
      await note('a place was not given back', () => budget.end(authorization, 'released'))
      throw error
    } finally {
      if (!isTaken) place.leave()
    }
  }

  function fundsOf(
    authorization: SignedAuthorization,
    taken: { owner: string; block: bigint; leave: () => void; onSettled: (settled: Settled) => void },
  ): Funds {
    const { owner, block, leave, onSettled } = taken
    const { from, value } = authorization
    const account = accountOf(authorization)
    const charged = chargedOf(account)
    const released: ChannelState = { ...account, reserved: 0n }
    let state: 'taken' | 'settled' | 'ended' = 'taken'

    /** Nothing is sent for it: its payer may have another at work. Whoever has taken it over holds the place from then on. */
    function giveBack(): Promise<void> {
      return note('a place was not given back', async () => {
        await records.release(authorization, owner)
        if (!(await records.get(authorization))) await budget.end(authorization, 'released')
      })
    }

    async function beginSending(outcome: Uint8Array | undefined): Promise<void> {
      const payload = JSON.stringify(toPayload(authorization))
      try {
        await context.charges.expect({ ...authorization, block })
        if (!(await records.beginSending(authorization, owner, payload, outcome)))
          throw new PaymentFailedError(usedBefore.rejection)
      } catch (error) {
        await giveBack()
        throw error
      }
    }

    async function settle(outcome: Uint8Array | undefined, goesOn: boolean): Promise<void> {
      await beginSending(outcome)
      const cashed = await cash(authorization, { block, goesOn }).catch((error) => {
        // The store failed, and the transfer may be mined: nobody may say that it isn't.
        tellFailure('whether a charge was settled is not written down', error)
        return { ...refusedBy(unknown), isOver: false }
      })
      if (!cashed.ok) throw new PaymentFailedError(cashed.rejection)
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
        await settle(outcome, !final).finally(leave)
      } else if (state === 'settled' && final) {
        await note('the answer to a charge is not kept', () => records.finish(authorization, outcome))
      } else if (state === 'taken' && final) {
        state = 'ended'
        await giveBack().finally(leave)
        metrics.charges('released')
        return { ok: true, captured: 0n, held: 0n, state: released }
      }
      if (!final) return { ok: true, captured: cost, held: value - cost, state: account }
      state = 'ended'
      return { ok: true, captured: value, held: 0n, state: charged }
    }

    return {
      account,
      consumer: from,
      takesWhole: true,
      capture,
      // What is paid is worked for to its end.
      renew: async () =>
        state === 'ended' || (await records.renew(authorization, owner)) || state === 'settled',
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

function chargedOf(account: ChannelState): ChannelState {
  return { ...account, reserved: 0n, charged: account.deposit, requests: 1n }
}

function authorizationIn({ payload }: ChargeRecord): SignedAuthorization {
  if (payload === undefined) throw new InvalidFormatError('charge record', 'it has no authorization')
  return fromPayload(JSON.parse(payload))
}
