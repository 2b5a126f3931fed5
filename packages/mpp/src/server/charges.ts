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

type Cashing = {
  block: bigint
  sent?: ChargeRecord['sent']
  sends?: boolean
  owner?: string
  goesOn?: boolean
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
/** How often it is looked what became of charges that nobody waits for any more. */
const lookAfterMs = 5_000
/** How often the transfer of one charge is sent: once more after one that has failed for good, since each costs its gas. */
const mostSendings = 2

/**
 * @param life How long an authorization must still be good when it is taken, in seconds.
 * @throws {InvalidAmountError | DrainError} `invalid_limit`
 */
export function createCharges(context: ChargeContext, input: ChargeInput, life = leastLife): Charges {
  const { deployment, client, ledger, channels, metrics, logger, clock } = context
  const { token, chainId } = deployment
  const { contractWallets = false } = input
  const judges = createChargeJudge({ ...context, now: channels.now, contractWallets, life })
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
  let isLooking = false

  /** Messages of others may carry the node's URL. */
  function tellFailure(what: string, error: unknown): void {
    const code = error instanceof DrainError ? error.code : error instanceof Error ? error.name : 'unknown'
    logger.warn(what, { code })
  }

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
   * @param ask.sent Its transfers so far, by their nonces in the journal.
   * @param ask.sends Whether one may be sent: else it is looked for what was.
   * @param ask.owner Who gives the answer, where that is not who did the work before.
   * @param ask.goesOn The answer is given bit by bit.
   */
  async function cash(
    authorization: SignedAuthorization,
    { block, sent = [], sends = true, owner, goesOn = false }: Cashing,
  ): Promise<(Settled & { isFirst: boolean | undefined }) | (RefusedCharge & Pick<Refusal, 'failure'>)> {
    const count = sent.length
    const settled = await settler.settle(
      authorization,
      block,
      sends
        ? {
            sent,
            claim: (before) => claim(authorization, count, before),
            wrote: (nonce) =>
              note('that a charge was sent is not written down', () =>
                records.wrote(authorization, count, nonce),
              ),
          }
        : undefined,
    )
    const { from, value } = authorization
    if (settled.ok) {
      const { txHash } = settled
      // Before anything is given for it. But it is paid: whatever fails here, the answer is given.
      await note('that a charge is answered is not written down', () =>
        context.charges.give(authorization, txHash),
      )
      let isFirst: boolean | undefined
      await note('that a charge is settled is not written down', async () => {
        isFirst = await records.settle(authorization, txHash, { owner, goesOn })
      })
      await note('a settled charge was not counted', () => budget.end(authorization, 'settled'))
      // Others may have waited for the same.
      if (isFirst !== false) {
        metrics.charges('settled', value)
        logger.info('charged', { from, amount: Usdc.display(value), txHash })
      }
      return { ...settled, isFirst }
    }
    const { failure } = settled
    logger.warn('a charge was not settled', { from, failure })
    const over = isOver(settled)
    // One that ends before a transfer of it was mined has waited for the provider, not for the payer.
    const isUntried = failure === 'expired' || failure === 'unsent'
    const isBlamed = isUntried ? await settler.hasFailed(sent) : over || failure === 'reverted'
    if (isBlamed) await countFailure(authorization)
    else if (over) await giveUp(authorization)
    else metrics.charges('pending')
    if (over) await records.fail(authorization)
    return { ...refusedBy(settled), failure }
  }

  function countFailure(charge: Pick<SignedAuthorization, 'from' | 'nonce'>): Promise<void> {
    return note('a failed charge was not counted', async () => {
      if (await budget.end(charge, 'failed')) metrics.charges('failed')
    })
  }

  function giveUp(charge: Pick<SignedAuthorization, 'from' | 'nonce'>): Promise<void> {
    return note('a place was not given back', async () => {
      if (await budget.end(charge, 'released')) metrics.charges('released')
    })
  }

  /**
   * Takes the right to send a transfer. Where one before has failed for good, though the token would still take it, this one may fail
   * too, at the payer's expense.
   */
  async function claim(
    authorization: SignedAuthorization,
    count: number,
    { tried, hasFailed }: { tried: number; hasFailed: boolean },
  ): Promise<Refusal | undefined> {
    if (tried >= mostSendings) return failedForGood
    if (!(await records.claim(authorization, count))) return unknown
    if (!hasFailed) return undefined
    await countFailure(authorization)
    return (await budget.enterAgain(authorization)) ? undefined : failedForGood
  }

  /** Whether there are still charges that nothing was given for. */
  async function lookAfter(): Promise<boolean> {
    let isLeft = false
    for await (const charge of context.charges.unanswered()) {
      isLeft = true
      const record = await records.get(charge)
      if (record?.state !== 'sending' || !(await settler.hasFailed(record.sent ?? []))) continue
      // Somebody else's may have paid.
      const looked = await settler.settle(authorizationIn(record), BigInt(record.block), undefined)
      if (!looked.ok && looked.failure !== 'pending') await countFailure(charge)
    }
    return isLeft
  }

  /** A transfer may fail when nobody waits for it any more. */
  function lookLater(): void {
    if (isLooking) return
    isLooking = true
    const timer = setTimeout(async () => {
      isLooking = false
      try {
        if (await lookAfter()) lookLater()
      } catch (error) {
        tellFailure('charges could not be looked after', error)
      }
    }, lookAfterMs)
    timer.unref?.()
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
      return { ok: true, funds: fundsOf(authorization, { owner, block, leave, onSettled, isPaid: true }) }
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
    taken: {
      owner: string
      block: bigint
      leave: () => void
      onSettled: (settled: Settled) => void
      isPaid?: boolean
    },
  ): Funds {
    const { owner, block, leave, onSettled, isPaid = false } = taken
    const { from, value } = authorization
    const account = accountOf(authorization)
    const charged = chargedOf(account)
    const released: ChannelState = { ...account, reserved: 0n }
    let state: 'taken' | 'settled' | 'ended' = isPaid ? 'settled' : 'taken'

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
        return refusedBy(unknown)
      })
      if (!cashed.ok) {
        await note('a charge is kept from its retries', () => records.leave(authorization, owner))
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
      renew: async () => (await records.renew(authorization, owner)) || state !== 'taken',
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
