/** What went wrong, and what an agent does next. */
import { limitVariables } from '@drain/consumer/node'
import {
  ChannelGoneError,
  ChannelNotFoundError,
  DrainError,
  FeatureUnavailableError,
  LimitExceededError,
  PaymentRejectedError,
  PaymentUnknownError,
  UntrustedProviderError,
} from '@drain/core'
import { oneLine } from './text/untrusted.ts'

export type Refusal = { code: string; message: string; next: string }

/** What an agent is told of an error. Of errors that aren't this project's own: one sentence, and no URL of a node. */
export function refusalOf(error: unknown, wallet: string | undefined): Refusal {
  if (error instanceof LimitExceededError) return overLimit(error)
  if (error instanceof PaymentUnknownError) {
    return {
      code: error.code,
      message: error.shortMessage,
      next: `It may have been paid. To get the answer without paying twice, make the same call once more with idempotencyKey "${error.idempotencyKey}".`,
    }
  }
  if (error instanceof DrainError) {
    const next =
      nextSteps(wallet)[codeOf(error)] ??
      error.action ??
      'Try again, or take another provider: drain_providers.'
    const details = error.details ? ` (${oneLine(error.details, 300)})` : ''
    return {
      code: error.code,
      message: `${headlines[codeOf(error)] ?? ''}${error.shortMessage}${details}`,
      next,
    }
  }
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
    return {
      code: 'cancelled',
      message: 'The call was cancelled.',
      next: 'What was paid is in drain_channel_status.',
    }
  }
  return {
    code: 'failed',
    message: oneLine(sentenceOf(error), 300),
    next: 'Try again. If it fails again, take another provider (drain_providers), or have the owner run drain-mcp doctor.',
  }
}

function codeOf(error: DrainError): string {
  if (error instanceof ChannelNotFoundError || error instanceof ChannelGoneError) return 'channel_gone'
  if (error instanceof PaymentRejectedError) return `rejected_${error.rejection}`
  if (error instanceof UntrustedProviderError) return 'untrusted_provider'
  if (error instanceof FeatureUnavailableError) return 'feature_unavailable'
  return error.code
}

/** What clients of the older server look for. */
const headlines: Record<string, string> = {
  insufficient_balance: 'Insufficient balance: ',
  insufficient_gas: 'Insufficient gas: ',
  insufficient_allowance: 'Insufficient allowance: ',
  channel_gone: 'Channel closed: ',
  rejected_channel_expired: 'Channel expired: ',
}

function nextSteps(wallet = 'the address of this wallet'): Record<string, string> {
  return {
    insufficient_balance: `Have the owner send USDC to ${wallet}, or open a smaller channel with drain_open_channel.`,
    insufficient_gas: `Have the owner send a little of the chain’s coin to ${wallet}, or open with gasless: true where the provider offers that.`,
    insufficient_allowance: 'Call drain_approve, then try again.',
    channel_gone: 'Open another one with drain_open_channel.',
    rejected_channel_expired:
      'Open another one with drain_open_channel; drain_close_channel brings back what the old one holds.',
    rejected_insufficient_funds:
      'See drain_channel_status. Close the channel with drain_cooperative_close, and open another one if you still trust the provider.',
    channel_unknown:
      'See drain_channels; with recover: true it looks for channels of this wallet on the chain.',
    close_failed:
      'Try again later. After the channel’s expiry drain_close_channel brings the rest back without the provider.',
    untrusted_provider: 'Don’t pay there. Look for another provider with drain_providers.',
    key_missing: 'The owner sets DRAIN_PRIVATE_KEY for this server, or runs: npx drain-mcp init',
    feature_unavailable: 'This chain’s contract can’t do that. drain_close_channel works after the expiry.',
    transaction_pending: 'Wait a minute, and see drain_channels.',
    opening_unresolved: 'Wait a minute, and see drain_channels: no second deposit is made meanwhile.',
    provider_unknown: 'Look for one with drain_providers, or name its URL.',
  }
}

function overLimit(error: LimitExceededError): Refusal {
  if (error.limit === 'confirm') {
    return {
      code: 'no_channel',
      message: 'No open channel to this provider has room for the request.',
      next: 'Open one with drain_open_channel (or a larger one, if the last is used up), then try again.',
    }
  }
  const variable = limitVariables[error.limit]
  return {
    code: error.code,
    message: error.shortMessage,
    next: variable
      ? `Ask for less (a lower maxTokens or amount), or have the owner raise ${variable}.`
      : (error.action ?? 'Close channels that are not needed: drain_channels.'),
  }
}

/** viem's long messages quote the node's URL, which may have a key in it. */
function sentenceOf(error: unknown): string {
  const { shortMessage } = (error ?? {}) as { shortMessage?: unknown }
  if (typeof shortMessage === 'string') return shortMessage
  const { message, cause } = error as Error
  const reason = cause instanceof Error && cause.message ? ` (${cause.message})` : ''
  return error instanceof Error ? `${message}${reason}` : String(error)
}
