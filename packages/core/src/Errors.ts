/**
 * What can go wrong, as a caller has to tell it apart. Every error carries a stable `code` and says what to do next.
 */

/** Base of every error this project throws. */
export class DrainError extends Error {
  override readonly name: string = 'DrainError'
  /** Stable, machine-readable; never changes for the same situation. */
  readonly code: string
  /** One sentence without the details. */
  readonly shortMessage: string
  /** Facts behind the error, for a log. */
  readonly details: string | undefined
  /** What the caller can do about it. */
  readonly action: string | undefined

  constructor(code: string, shortMessage: string, options: DrainError.Options = {}) {
    const message = [shortMessage, options.action].filter(Boolean).join(' ')
    super(options.details ? `${message}\nDetails: ${options.details}` : message, { cause: options.cause })
    this.code = code
    this.shortMessage = shortMessage
    this.details = options.details
    this.action = options.action
  }

  /** The first error in the chain of causes that `match` accepts, or the innermost one. */
  walk(match?: (error: unknown) => boolean): unknown {
    let error: unknown = this
    while (true) {
      if (match?.(error)) return error
      const cause = error instanceof Error ? error.cause : undefined
      if (cause === undefined || cause === null) return match ? undefined : error
      error = cause
    }
  }
}

export declare namespace DrainError {
  type Options = { action?: string | undefined; details?: string | undefined; cause?: unknown }
}

/** An amount, price or rate that this protocol cannot represent exactly. */
export class InvalidAmountError extends DrainError {
  override readonly name = 'InvalidAmountError'
  constructor(value: unknown, problem: string, action: string) {
    super('invalid_amount', `${printable(value)} is not a valid amount: ${problem}.`, { action })
  }
}

/** A duration that is not a positive whole number of seconds, or longer than a channel may run. */
export class InvalidDurationError extends DrainError {
  override readonly name = 'InvalidDurationError'
  constructor(value: unknown, problem?: string) {
    super(
      'invalid_duration',
      `${printable(value)} is not a valid duration${problem ? `: ${problem}` : ''}.`,
      {
        action: "Use whole seconds (3600) or a number with a unit: '90s', '30m', '24h', '7d'.",
      },
    )
  }
}

/** Text that should have been a voucher, channel request, id or address and is not. */
export class InvalidFormatError extends DrainError {
  override readonly name = 'InvalidFormatError'
  constructor(what: string, problem: string, action?: string) {
    super('invalid_format', `Not a valid ${what}: ${problem}.`, { action })
  }
}

/** A request that has no price because it is malformed. */
export class InvalidRequestError extends DrainError {
  override readonly name = 'InvalidRequestError'
  constructor(problem: string, action?: string, cause?: unknown) {
    super('invalid_request', problem, { action, cause })
  }
}

/** The contract on that chain lacks a function that was asked for. */
export class FeatureUnavailableError extends DrainError {
  override readonly name = 'FeatureUnavailableError'
  readonly feature: string
  constructor(feature: string, deployment: string, action?: string) {
    super('feature_unavailable', `The contract ${deployment} has no ${feature}.`, {
      action: action ?? 'Use a deployment of the current DrainChannel, or another way to the same end.',
    })
    this.feature = feature
  }
}

/** No deployment is known for a chain or a contract address. */
export class UnknownDeploymentError extends DrainError {
  override readonly name = 'UnknownDeploymentError'
  constructor(chainId: number, contract?: string) {
    super(
      'unknown_deployment',
      contract
        ? `No deployment at ${contract} on chain ${chainId} is known.`
        : `No deployment on chain ${chainId} is known.`,
      { action: 'Pass contractAddress and usdcAddress (or a deployment made with Deployment.from).' },
    )
  }
}

/** The wallet holds less USDC than an open needs. */
export class InsufficientBalanceError extends DrainError {
  override readonly name = 'InsufficientBalanceError'
  constructor(message: string, action: string, cause?: unknown) {
    super('insufficient_balance', message, { action, cause })
  }
}

/** The contract may move less USDC than an open needs. */
export class InsufficientAllowanceError extends DrainError {
  override readonly name = 'InsufficientAllowanceError'
  constructor(message: string, action: string, cause?: unknown) {
    super('insufficient_allowance', message, { action, cause })
  }
}

/** The channel does not exist on chain: never opened, or closed. */
export class ChannelNotFoundError extends DrainError {
  override readonly name = 'ChannelNotFoundError'
  constructor(channelId?: string, cause?: unknown) {
    super(
      'channel_not_found',
      `Channel ${channelId ?? ''} does not exist: it was never opened, or is closed.`.replace('  ', ' '),
      {
        action: 'Check the id, the chain and the contract address, or open a new channel.',
        cause,
      },
    )
  }
}

/** A transaction was mined and failed, or would fail. `reason` is the contract error or the token's text. */
export class TransactionRevertedError extends DrainError {
  override readonly name = 'TransactionRevertedError'
  readonly reason: string
  readonly transactionHash: string | undefined
  constructor(
    reason: string,
    options: DrainError.Options & { transactionHash?: string | undefined; message?: string } = {},
  ) {
    super('transaction_reverted', options.message ?? `The transaction reverts: ${reason}.`, options)
    this.reason = reason
    this.transactionHash = options.transactionHash
  }
}

/** A payment that the caller's limits do not allow. Nothing was signed. */
export class LimitExceededError extends DrainError {
  override readonly name = 'LimitExceededError'
  readonly limit: string
  constructor(limit: string, message: string, action: string) {
    super('limit_exceeded', message, { action })
    this.limit = limit
  }
}

/** The other side says something that does not agree with what is known. Nothing was signed. */
export class UntrustedProviderError extends DrainError {
  override readonly name = 'UntrustedProviderError'
  constructor(message: string, action: string) {
    super('untrusted_provider', message, { action })
  }
}

/** The provider refused a payment and paying again cannot help. */
export class PaymentRejectedError extends DrainError {
  override readonly name: string = 'PaymentRejectedError'
  /** The provider's code, from the table of rejections. */
  readonly rejection: string
  constructor(rejection: string, message: string, action?: string) {
    super('payment_rejected', message, { action })
    this.rejection = rejection
  }
}

/**
 * The channel is of no use any more, and it is not safe to open another one by itself: the provider closes it, calls it expired
 * or doesn't find it.
 */
export class ChannelGoneError extends PaymentRejectedError {
  override readonly name: string = 'ChannelGoneError'
  readonly channelId: string
  constructor(channelId: string, rejection: string, message: string, action?: string) {
    super(rejection, message, action)
    this.channelId = channelId
  }
}

/**
 * The connection was lost after a payment was sent: the request may have been served and charged, or not. At most its quote is
 * at stake. Sent again with the same `Idempotency-Key` it is answered from what was kept, and not charged twice.
 */
export class PaymentUnknownError extends DrainError {
  override readonly name = 'PaymentUnknownError'
  readonly idempotencyKey: string
  constructor(origin: string, idempotencyKey: string, cause?: unknown) {
    super('payment_unknown', `The connection to ${origin} was lost after the payment was sent.`, {
      action: 'Send the same request with the header Idempotency-Key of this error: it is not charged twice.',
      details: cause instanceof Error ? cause.message : undefined,
      cause,
    })
    this.idempotencyKey = idempotencyKey
  }
}

function printable(value: unknown): string {
  const text = typeof value === 'string' ? `"${value}"` : String(value)
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
