/** What a client may spend. Checked before anything is signed. */
import { DrainError, Duration, LimitExceededError, Usdc } from '@drain/core'
import { isAddress } from 'viem'

/** The caller's limits, in decimal USDC. */
export type LimitOptions = {
  /** The most that one request may cost. */
  perRequest: string
  /** The most that is deposited in one channel. */
  perChannel: string
  /**
   * The most that one provider may hold or have kept without delivering: what is left of the deposits of its channels
   * until they are closed, and what closed ones paid it beyond what was delivered. What was delivered doesn't count, so
   * used-up channels block nothing. Payments without a channel are counted alike, by origin. Twice `perChannel` by default.
   *
   * Trap: origins that name the same address share it, so one that names somebody else's uses up what is left for that provider,
   * until its channels are closed. Name the origins that you pay in `providers`.
   */
  perProvider?: string | undefined
  /**
   * The most that may be locked in channels at once, with all providers: their deposits, without what was charged. Five times
   * `perChannel` by default.
   */
  locked?: string | undefined
  /** The most that vouchers may newly promise on one UTC day, to all providers. Twice `perChannel` by default. */
  perDay?: string | undefined
  /**
   * The most that a provider is believed to have charged on one channel for requests that ended without telling their
   * cost (errors, lost connections, cancelled streams). No voucher exceeds what was delivered, this, and the prices of the
   * requests under way. Beyond it the channel is to be closed. Of payments without a channel: the most that an origin gets on
   * one UTC day for requests that it does not answer with success; those that are under way together when it begins to fail may
   * exceed it, within `perProvider`. Three times `perRequest` by default.
   */
  undelivered?: string | undefined
  /**
   * Who may be paid: origins (`'https://api.example'`) and provider addresses. Everybody by default.
   *
   * Trap: an address allows every origin that names it, and vouchers go to that origin, which can spend them at the provider.
   * Name origins where you know them.
   */
  providers?: readonly string[] | undefined
  /**
   * Asked before every payment and every deposit that the other limits allow. What it doesn't answer `true` to is not signed.
   */
  confirm?: ((payment: Confirmable) => boolean | Promise<boolean>) | undefined
  /** The longest that a channel may run and so lock its deposit; `'24h'` by default. */
  duration?: string | number | undefined
}

/** What `confirm` is asked about. Amounts in decimal USDC. */
export type Confirmable =
  | {
      kind: 'request'
      origin: string
      provider: string
      method: string
      url: string
      amount: string
      /** Whether it is a payment of its own, without a channel. */
      single?: true | undefined
    }
  | {
      kind: 'deposit'
      origin: string
      provider: string
      amount: string
      duration: bigint
      /** Whether `openChannel` asks for it, and not a request. */
      byHand: boolean
    }

/** The same in base units and seconds. */
export type Limits = {
  perRequest: bigint
  perChannel: bigint
  perProvider: bigint
  perDay: bigint
  locked: bigint
  undelivered: bigint
  duration: bigint
  /** Origins, and addresses in lower case. */
  providers: ReadonlySet<string> | undefined
  confirm: ((payment: Confirmable) => boolean | Promise<boolean>) | undefined
}

/**
 * @throws {DrainError} `limits_missing`, `limits_invalid`
 * @throws {InvalidAmountError | InvalidDurationError}
 */
export function parse(options: LimitOptions | undefined): Limits {
  const given = options ?? ({} as Partial<LimitOptions>)
  if (given.perRequest === undefined || given.perChannel === undefined) {
    throw new DrainError('limits_missing', 'A client that pays by itself needs limits.', {
      action: "Pass limits, in USDC, such as { perRequest: '0.05', perChannel: '5', perDay: '10' }.",
    })
  }
  const { perProvider, perDay, locked, undelivered, duration = '24h' } = given
  const perRequest = Usdc.parse(given.perRequest)
  const perChannel = Usdc.parse(given.perChannel)
  return {
    perRequest,
    perChannel,
    perProvider: perProvider === undefined ? 2n * perChannel : Usdc.parse(perProvider),
    perDay: perDay === undefined ? 2n * perChannel : Usdc.parse(perDay),
    locked: locked === undefined ? 5n * perChannel : Usdc.parse(locked),
    undelivered: undelivered === undefined ? 3n * perRequest : Usdc.parse(undelivered),
    duration: Duration.parse(duration),
    providers: given.providers && new Set(given.providers.map(parseProvider)),
    confirm: given.confirm,
  }
}

function parseProvider(text: string): string {
  if (isAddress(text, { strict: false })) return text.toLowerCase()
  if (URL.canParse(text) && new URL(text).origin !== 'null') return new URL(text).origin
  throw new DrainError(
    'limits_invalid',
    `limits.providers has ${JSON.stringify(text)}, which names nobody.`,
    {
      action: "List origins ('https://api.example') and addresses ('0x…').",
    },
  )
}

/** @throws {LimitExceededError} */
export function assertAllowed({ providers }: Limits, origin: string, provider: string): void {
  if (!providers || providers.has(origin) || providers.has(provider.toLowerCase())) return
  throw new LimitExceededError(
    'providers',
    `${origin} (${provider}) is not among the providers that may be paid.`,
    'Add its origin or address to limits.providers, if you trust it.',
  )
}

/** @throws {LimitExceededError} */
export async function assertConfirmed({ confirm }: Limits, payment: Confirmable): Promise<void> {
  if (!confirm || (await confirm(payment)) === true) return
  throw new LimitExceededError(
    'confirm',
    `The ${payment.kind === 'deposit' ? 'deposit of' : 'payment of up to'} ${payment.amount} USDC for ${payment.origin} was not confirmed.`,
    'Confirm it in limits.confirm, if it is wanted.',
  )
}

/** @throws {LimitExceededError} */
export function assertRequest(limits: Limits, quote: bigint): void {
  if (quote <= limits.perRequest) return
  throw new LimitExceededError(
    'perRequest',
    `This request may cost ${Usdc.display(quote)}, the limit per request is ${Usdc.display(limits.perRequest)}.`,
    'Raise limits.perRequest, or ask for less (a lower max_tokens, say).',
  )
}

/**
 * @param today What vouchers newly promised today.
 * @param raise What the next one adds.
 * @throws {LimitExceededError}
 */
export function assertDay(limits: Limits, today: bigint, raise: bigint): void {
  if (raise <= 0n || today + raise <= limits.perDay) return
  throw new LimitExceededError(
    'perDay',
    `This would make it ${Usdc.display(today + raise)} today, the limit per day is ${Usdc.display(limits.perDay)}.`,
    'Raise limits.perDay, or wait for the next day (UTC).',
  )
}
