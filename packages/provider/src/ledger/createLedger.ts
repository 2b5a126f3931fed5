import type { Address, Hex } from 'viem'
import * as Account from './Account.ts'
import { ChannelMismatchError, LedgerUsageError } from './Errors.ts'
import type {
  ChannelFacts,
  ChannelFilter,
  ChannelState,
  Done,
  Ledger,
  LedgerIdentity,
  LedgerTotals,
  LedgerVoucher,
  Refused,
  ReservationId,
} from './Ledger.ts'
import type { LedgerStore } from './LedgerStore.ts'

/** The largest amount and expiry that every store can hold. */
const maxStored = 2n ** 63n - 1n

const defaultLeaseMs = 60_000

/** The ledger over a store: reads the rows of one channel, lets `Account` decide, writes what it decided. */
export function createLedger(
  store: LedgerStore,
  options: { identity: LedgerIdentity; log: (message: string) => void },
): Ledger {
  const provider = checkHex('provider', options.identity.provider, 20)

  type Scene = {
    account: Account.Account
    lease: (nonce: bigint) => Account.Lease | undefined
    now: number
  }
  type Decide<refusal extends string> = (scene: Scene) => Account.Step<refusal>

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
    const outcome = await store.transact((rows) => {
      const before = rows.account(channelId)
      const now = rows.now()
      const found = before ?? (facts && Account.open(facts, now))
      if (!found) return undefined
      const agreed = facts ? Account.agree(found, facts) : found
      const lost = facts !== undefined && Account.isUnexplained(agreed, facts.claimed)
      // What was reserved on lost data may no longer fit into the deposit.
      const { account, leases } =
        lost || dropLeases
          ? Account.dropLeases(agreed, rows.leases(channelId))
          : Account.lapse(agreed, rows.leases(channelId, now), now)
      const entered = lost ? Account.alarm(account, facts.claimed) : account

      const step = decide({
        account: entered,
        lease: (nonce) => {
          const lease = leases.find((lapsed) => lapsed.nonce === nonce) ?? rows.lease(channelId, nonce)
          return lease?.stage === 'ended' ? undefined : lease
        },
        now,
      })
      const changed = step.lease ? [...leases, step.lease] : leases
      if (step.account !== before || changed.length > 0) {
        Account.assertSound(step.account)
        rows.write(step.account, changed)
      }
      return { step, lost, charged: agreed.charged }
    })
    if (outcome?.lost) {
      const { channelId, claimed } = outcome.step.account
      options.log(
        `ALARM: ${claimed} was claimed on channel ${channelId}, but this ledger had charged ${outcome.charged}. It has lost ` +
          'data, or another provider uses the same key. The channel is frozen.',
      )
    }
    return outcome?.step
  }

  async function operate<refusal extends string>(channel: ChannelFacts | Hex, decide: Decide<refusal>) {
    const step = await attempt(channel, decide)
    if (!step) throw new LedgerUsageError(`The ledger does not know the channel ${channel}.`)
    return step
  }

  async function onLease<refusal extends string>(
    reservationId: ReservationId,
    decide: (account: Account.Account, lease: Account.Lease, now: number) => Account.Step<refusal>,
  ) {
    const { channelId, nonce } = parseReservationId(reservationId)
    return operate(channelId, ({ account, lease, now }): Account.Step<refusal | 'reservation_ended'> => {
      const found = lease(nonce)
      return found ? decide(account, found, now) : { account, refusal: 'reservation_ended' }
    })
  }

  async function* channels(filter: ChannelFilter = {}): AsyncGenerator<ChannelState> {
    for (const page of store.pages(filter)) {
      yield* page.map(Account.toState)
      await turn()
    }
  }

  return {
    async reserve({ channel, voucher, quote, leaseMs = defaultLeaseMs }) {
      const paid = checkVoucher(voucher)
      checkAmount('quote', quote)
      checkLease(leaseMs)
      const step = await operate(channel, ({ account, now }) =>
        Account.reserve(account, paid, quote, now + leaseMs),
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
      checkLease(leaseMs)
      return toResult(
        await onLease(reservationId, (account, lease, now) => Account.renew(account, lease, now + leaseMs)),
      )
    },

    async capture(reservationId, actual, { final = true } = {}) {
      checkAmount('cost', actual)
      const step = await onLease(reservationId, (account, lease) =>
        Account.capture(account, lease, actual, final),
      )
      const result = toResult(step)
      return result.ok ? { ...result, captured: step.lease?.captured ?? 0n } : result
    },

    async release(reservationId) {
      return toResult(
        await onLease(reservationId, (account, lease) => Account.capture(account, lease, 0n, true)),
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

    async endClaim(channel) {
      const step = await operate(channel, ({ account }) =>
        Account.endClaim(Account.recordClaimed(account, channel.claimed).account),
      )
      return Account.toState(step.account)
    },

    async recordClaimed(channel) {
      const step = await operate(channel, ({ account }) => Account.recordClaimed(account, channel.claimed))
      return Account.toState(step.account)
    },

    async markClosed(channelId) {
      const step = await attempt(channelId, ({ account }) => Account.close(account), true)
      return step && Account.toState(step.account)
    },

    async get(channelId) {
      const id = checkId(channelId)
      return store.read((rows) => {
        const account = rows.account(id)
        const now = rows.now()
        return account && Account.toState(Account.lapse(account, rows.leases(id, now), now).account)
      })
    },

    channels,

    async totals() {
      const totals: LedgerTotals = {
        ...{ open: 0, closing: 0, closed: 0, alarms: 0 },
        ...{ deposit: 0n, authorized: 0n, charged: 0n, reserved: 0n, claimed: 0n },
      }
      for await (const channel of channels()) {
        totals[channel.status] += 1
        totals.alarms += Number(channel.alarm)
        for (const sum of ['deposit', 'authorized', 'charged', 'reserved', 'claimed'] as const)
          totals[sum] += channel[sum]
      }
      return totals
    },

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
  }
}

function checkVoucher({ amount, nonce, signature }: LedgerVoucher): LedgerVoucher {
  checkAmount('voucher', amount)
  return { amount, nonce, signature: checkHex('signature', signature) }
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

function checkLease(leaseMs: number): void {
  if (!Number.isSafeInteger(leaseMs) || leaseMs <= 0)
    throw new LedgerUsageError(`A lease lasts a whole number of milliseconds, not ${leaseMs}.`)
}

function parseReservationId(reservationId: ReservationId): { channelId: Hex; nonce: bigint } {
  const [, channelId, nonce] = /^(0x[0-9a-f]{64}):(\d{1,19})$/.exec(reservationId) ?? []
  if (channelId === undefined || nonce === undefined)
    throw new LedgerUsageError(`"${String(reservationId).slice(0, 100)}" is not a reservation id.`)
  return { channelId: channelId as Hex, nonce: BigInt(nonce) }
}

/** Lets requests have their turn between the pages of a long read. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}
