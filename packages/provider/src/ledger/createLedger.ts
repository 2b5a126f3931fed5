import { Usdc } from '@drain/core'
import type { Address, Hex } from 'viem'
import * as Account from './Account.ts'
import { raiseAlarm } from './alarms.ts'
import { createNotebook } from './createNotebook.ts'
import * as Day from './Day.ts'
import { ChannelMismatchError, LedgerUsageError } from './Errors.ts'
import type {
  ChannelFacts,
  ChannelFilter,
  ChannelState,
  ClaimReceipt,
  DayRange,
  Done,
  IdempotencyKey,
  Ledger,
  LedgerIdentity,
  LedgerVoucher,
  Refused,
  ReservationId,
} from './Ledger.ts'
import type { LedgerStore, Writes } from './LedgerStore.ts'

/** The largest amount and expiry that every store can hold. */
const maxStored = 2n ** 63n - 1n

const defaultLeaseMs = 60_000

/** The ledger over a store: each operation lets `Account` decide on the record of one channel, in one step. */
export function createLedger(
  store: LedgerStore,
  options: {
    identity: LedgerIdentity
    log: (message: string) => void
    /** How long the outcome of a request with an idempotency key is kept. Default: a day. */
    keepOutcomesMs?: number | undefined
  },
): Ledger {
  const { log, keepOutcomesMs = Day.milliseconds } = options
  const provider = checkHex('provider', options.identity.provider, 20)
  const notebook = createNotebook(store)
  checkDuration('outcome is kept', keepOutcomesMs)

  type Scene = {
    account: Account.Account
    leases: readonly Account.Lease[]
    now: number
  }
  /** A step, and what is to be written with it. */
  type Move<refusal extends string> = Account.Step<refusal> & Pick<Writes, 'outcome' | 'claim'>
  type Decide<refusal extends string> = (scene: Scene) => Move<refusal>

  /**
   * One operation on one channel. Given by its facts, the channel is written down when it is new; given by its id, an
   * unknown one is undefined. First the leases that have run out (or all of them) end, then `decide` has its say.
   */
  async function attempt<refusal extends string>(
    channel: ChannelFacts | Hex,
    decide: Decide<refusal>,
    dropLeases = false,
  ): Promise<Account.Step<refusal> | undefined> {
    const facts = typeof channel === 'string' ? undefined : checkFacts(channel)
    const channelId = facts ? facts.channelId : checkId(channel as Hex)
    if (facts && facts.provider !== provider)
      throw new ChannelMismatchError(channelId, `provider ${provider}, not ${facts.provider}`)
    type Attempt = {
      step?: Account.Step<refusal>
      /** Facts that only lost data explains, of which no alarm tells yet: nothing was written. */
      unexplained?: { claimed: bigint; charged: bigint; at: number }
    }
    const update = (isTold: boolean) =>
      store.update<Attempt>(channelId, (record, now) => {
        const known = record ?? (facts && { account: Account.open(facts, now), leases: [] })
        if (!known) return { result: {} }
        const agreed = facts ? Account.agree(known.account, facts) : known.account
        const lost = facts !== undefined && Account.isUnexplained(agreed, facts.claimed)
        // The alarm comes first: who dies in between meets the same facts again, and raises it.
        if (lost && !isTold)
          return { result: { unexplained: { claimed: facts.claimed, charged: agreed.charged, at: now } } }
        const found = { account: agreed, leases: known.leases }
        // What was reserved on lost data may no longer fit into the deposit.
        const entered = lost || dropLeases ? Account.dropLeases(found) : Account.lapse(found, now)
        const claimed = lost ? Account.alarm(entered.account, facts.claimed) : entered.account

        const step = decide({ account: claimed, leases: entered.leases, now })
        const leases = Account.withLease(step.leases ?? entered.leases, step.lease)
        const { account, dayEnd } = Account.bookDay(known.account, step.account, now)
        const result = { step: { ...step, account } }
        if (account === record?.account && leases === record.leases) return { result }
        const write = { record: { account, leases }, dayEnd, outcome: step.outcome, claim: step.claim }
        Account.assertSound(write.record)
        return { result, write }
      })
    const { step, unexplained } = await update(false)
    if (!unexplained) return step
    const { claimed, charged, at } = unexplained
    const message =
      `${Usdc.display(claimed)} of channel ${channelId} were claimed, and this ledger had charged ${Usdc.display(charged)}. ` +
      'It has lost data, or another provider uses the same key. The channel is frozen.'
    await raiseAlarm(notebook, { channelId, code: 'overclaimed', message, at })
    const told = await update(true)
    log(`ALARM: ${message}`)
    return told.step
  }

  async function operate<refusal extends string>(channel: ChannelFacts | Hex, decide: Decide<refusal>) {
    const step = await attempt(channel, decide)
    if (!step) throw new LedgerUsageError(`The ledger does not know the channel ${channel}.`)
    return step
  }

  async function onLease<refusal extends string>(
    reservationId: ReservationId,
    decide: (account: Account.Account, lease: Account.Lease, now: number) => Move<refusal>,
  ) {
    const { channelId, nonce } = parseReservationId(reservationId)
    return operate(channelId, ({ account, leases, now }): Move<refusal | 'reservation_ended'> => {
      const lease = leases.find((lease) => lease.nonce === nonce)
      return lease ? decide(account, lease, now) : { account, refusal: 'reservation_ended' }
    })
  }

  async function* channels(filter: ChannelFilter = {}): AsyncGenerator<ChannelState> {
    for await (const page of store.pages(filter)) yield* page.map(Account.toState)
  }

  return {
    async reserve({ channel, voucher, quote, leaseMs = defaultLeaseMs, key }) {
      const paid = checkVoucher(voucher)
      const checkedKey = key && checkKey(key)
      checkAmount('quote', quote)
      checkDuration('lease lasts', leaseMs)
      const step = await operate(channel, ({ now, ...record }) =>
        Account.reserve(record, { voucher: paid, quote, endsAt: now + leaseMs, key: checkedKey }),
      )
      const result = toResult(step)
      return result.ok ? { ...result, reservationId: `${step.account.channelId}:${paid.nonce}` } : result
    },

    async raise({ channel, voucher }) {
      const paid = checkVoucher(voucher)
      return toResult(await operate(channel, ({ account }) => Account.raise(account, paid)))
    },

    async extend(reservationId, by) {
      checkAmount('extension', by)
      return toResult(await onLease(reservationId, (account, lease) => Account.extend(account, lease, by)))
    },

    async renew(reservationId, leaseMs = defaultLeaseMs) {
      checkDuration('lease lasts', leaseMs)
      return toResult(
        await onLease(reservationId, (account, lease, now) => Account.renew(account, lease, now + leaseMs)),
      )
    },

    async capture(reservationId, actual, { hold, final = hold === undefined, outcome } = {}) {
      checkAmount('cost', actual)
      if (hold !== undefined) checkAmount('hold', hold)
      if (final && hold !== undefined)
        throw new LedgerUsageError('A final capture ends the reservation: it has nothing to hold.')
      if (!final && outcome) throw new LedgerUsageError('An outcome comes with the final capture.')
      const step = await onLease(reservationId, (account, lease, now) => {
        const captured = Account.capture(account, lease, actual, { final, hold })
        // What was not paid for in full is not given again for nothing.
        const isPaid = lease.stage === 'live' || captured.lease.captured >= actual
        if (!outcome || !lease.key || !isPaid) return captured
        const { id, fingerprint } = lease.key
        const endsAt = now + keepOutcomesMs
        return { ...captured, outcome: { keyId: id, fingerprint, response: outcome, endsAt } }
      })
      const result = toResult(step)
      if (!result.ok) return result
      const { captured = 0n, held = 0n, stage } = step.lease ?? {}
      return { ...result, captured, held: stage === 'live' ? held : 0n }
    },

    async outcome(channelId, keyId) {
      return store.outcome(checkId(channelId), checkKeyPart(keyId))
    },

    async release(reservationId) {
      return toResult(
        await onLease(reservationId, (account, lease) =>
          Account.capture(account, lease, 0n, { final: true }),
        ),
      )
    },

    async freeze(channel) {
      return Account.toState((await operate(channel, ({ account }) => Account.freeze(account))).account)
    },

    async finalize(channelId) {
      const step = await operate(channelId, ({ account }) => {
        if (account.status === 'open')
          throw new LedgerUsageError(`Channel ${channelId} must be frozen first.`)
        return Account.finalize(account)
      })
      const result = toResult(step)
      return result.ok ? { ...result, finalAmount: step.account.finalAmount ?? 0n } : result
    },

    async beginClaim(channelId, amount) {
      checkAmount('claim', amount)
      const step = await operate(channelId, ({ account }) => {
        if (amount > account.authorized)
          throw new LedgerUsageError(
            `A claim of ${amount} on ${channelId} exceeds the ${account.authorized} signed.`,
          )
        return Account.beginClaim(account, amount)
      })
      return toResult(step)
    },

    async endClaim(channel, receipt) {
      const checked = receipt && checkReceipt(receipt)
      const step = await operate(channel, ({ account: before, now }) => {
        const recorded = Account.recordClaimed(before, channel.claimed, { hasReceipt: checked !== undefined })
        const { account, amount } = Account.endClaim(recorded.account)
        if (!checked || amount === 0n) return { account }
        const { channelId, consumer } = account
        return {
          account,
          claim: { ...checked, channelId, consumer, amount, at: BigInt(Math.floor(now / 1000)) },
        }
      })
      return Account.toState(step.account)
    },

    async recordClaimed(channel) {
      const step = await operate(channel, ({ account }) => Account.recordClaimed(account, channel.claimed))
      return Account.toState(step.account)
    },

    async markClosed(channelId) {
      const step = await attempt(channelId, ({ account, now }) => Account.close(account, now), true)
      return step && Account.toState(step.account)
    },

    async get(channelId) {
      const { record, now } = await store.read(checkId(channelId))
      return record && Account.toState(Account.lapse(record, now).account)
    },

    async glance(channelId) {
      const { record, now } = await store.glance(checkId(channelId))
      return record && Account.toState(Account.lapse(record, now).account)
    },

    channels,

    totals: () => store.totals(),

    async *days(range = {}) {
      for await (const page of store.days(checkRange(range))) yield* page
    },

    async *claims(range = {}) {
      for await (const page of store.claims(checkRange(range))) yield* page
    },

    notebook,

    prune: () => store.prune(Account.isOver),

    ready: () => store.ready(),

    close: () => store.close(),
  }
}

function toResult<refusal extends string>({
  account,
  refusal,
}: Account.Step<refusal>): Done | Refused<refusal> {
  const state = Account.toState(account)
  return refusal === undefined ? { ok: true, state } : { ok: false, code: refusal, state }
}

/** One form for every id, so that letter case can't make a channel look new. */
function checkId(channelId: Hex): Hex {
  return checkHex('channel id', channelId, 32)
}

function checkFacts(facts: ChannelFacts): ChannelFacts {
  const { deposit, claimed, expiry } = facts
  if (deposit < 0n || deposit > maxStored)
    throw new LedgerUsageError(`A deposit of ${deposit} is out of range.`)
  if (claimed < 0n || claimed > deposit)
    throw new LedgerUsageError(`${claimed} claimed of ${deposit} can't be.`)
  if (expiry < 0n || expiry > maxStored) throw new LedgerUsageError(`An expiry of ${expiry} is out of range.`)
  return {
    channelId: checkId(facts.channelId),
    consumer: checkHex('consumer', facts.consumer, 20) satisfies Address,
    provider: checkHex('provider', facts.provider, 20) satisfies Address,
    deposit,
    claimed,
    expiry,
    proof: facts.proof === undefined ? undefined : checkShort('proof', facts.proof),
  }
}

function checkKey({ id, fingerprint }: IdempotencyKey): IdempotencyKey {
  return { id: checkKeyPart(id), fingerprint: checkKeyPart(fingerprint) }
}

/** Far above what contracts take: it bounds what is written with each step. */
function checkShort(what: string, value: Hex): Hex {
  if (value.length > 2 + 2 * 1024) throw new LedgerUsageError(`The ${what} is too long.`)
  return checkHex(what, value)
}

/** Hashes: they are kept with each lease, so nothing long. */
function checkKeyPart(value: Hex): Hex {
  const hex = checkHex('part of an idempotency key', value)
  if (hex.length === 2 || hex.length > 2 + 64)
    throw new LedgerUsageError('The parts of an idempotency key are hashes: 1 to 32 bytes.')
  return hex
}

function checkReceipt({ txHash, fee, gasCost }: ClaimReceipt): ClaimReceipt {
  checkAmount('fee', fee)
  checkAmount('gas cost', gasCost)
  return { txHash: checkHex('transaction hash', txHash, 32), fee, gasCost }
}

function checkRange(range: DayRange): DayRange {
  for (const day of [range.from, range.to]) {
    if (day !== undefined && Day.parse(day) === undefined)
      throw new LedgerUsageError(`"${day.slice(0, 40)}" is not a day: write YYYY-MM-DD.`)
  }
  return range
}

function checkVoucher({ amount, nonce, signature }: LedgerVoucher): LedgerVoucher {
  checkAmount('voucher', amount)
  return { amount, nonce, signature: checkShort('signature', signature) }
}

function checkHex(what: string, value: Hex, bytes?: number): Hex {
  const hex = value.toLowerCase() as Hex
  if (!/^0x(?:[0-9a-f]{2})*$/.test(hex) || (bytes !== undefined && hex.length !== 2 + 2 * bytes))
    throw new LedgerUsageError(`"${value.slice(0, 80)}" is not a ${what}.`)
  return hex
}

function checkAmount(what: string, amount: bigint): void {
  if (amount < 0n) throw new LedgerUsageError(`The ${what} is ${amount}; it can't be negative.`)
}

/** Ten years: whatever is added to it, stores can hold it. */
const longest = 10 * 366 * Day.milliseconds

function checkDuration(what: string, ms: number): void {
  if (!Number.isSafeInteger(ms) || ms <= 0 || ms > longest)
    throw new LedgerUsageError(
      `How long a ${what} is a whole number of milliseconds, at most ten years, not ${ms}.`,
    )
}

function parseReservationId(reservationId: ReservationId): { channelId: Hex; nonce: bigint } {
  const [, channelId, nonce] = /^(0x[0-9a-f]{64}):(\d{1,19})$/.exec(reservationId) ?? []
  if (channelId === undefined || nonce === undefined)
    throw new LedgerUsageError(`"${String(reservationId).slice(0, 100)}" is not a reservation id.`)
  return { channelId: channelId as Hex, nonce: BigInt(nonce) }
}
