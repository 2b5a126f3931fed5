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
import { framed, oneLine } from './text/untrusted.ts'
import { withoutUrls } from './text/withoutUrls.ts'

export type Refusal = { code: string; message: string; next: string }

/** What is known of whoever asks. */
export type Asker = {
  /** The wallet's address, where there is one. */
  wallet?: string | undefined
  /** The node's URL, which may have a key in it. */
  rpcUrl?: string | undefined
}

/** What an agent is told of an error. Of errors that aren't this project's own: one sentence. Never the URL of a node. */
export function refusalOf(error: unknown, { wallet, rpcUrl }: Asker): Refusal {
  const { code, message, next, details } = describe(error, wallet)
  const quoted = details ? `\n${framed(withoutUrls(details, rpcUrl).slice(0, 1_000), 'somebody else')}` : ''
  return {
    code,
    message: `${oneLine(withoutUrls(message, rpcUrl), 500)}${quoted}`,
    next: oneLine(withoutUrls(next, rpcUrl), 500),
  }
}

function describe(error: unknown, wallet: string | undefined): Refusal & { details?: string | undefined } {
  if (error instanceof LimitExceededError) return overLimit(error)
  if (error instanceof PaymentUnknownError) {
    return {
      code: error.code,
      message: error.shortMessage,
      next: `It may have been paid. To get the answer without paying twice, make the same call once more with idempotencyKey "${error.idempotencyKey}".`,
    }
  }
  if (error instanceof DrainError) {
    const kind = kindOf(error)
    return {
      code: error.code,
      message: `${headlines[kind] ?? ''}${error.shortMessage}`,
      details: error.details,
      next:
        nextSteps(wallet)[kind] ?? error.action ?? 'Try again, or take another provider: drain_providers.',
    }
  }
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
    return {
      code: 'cancelled',
      message: 'The call was cancelled, or took longer than ten minutes.',
      next: 'What may have been promised for it is in drain_channel_status.',
    }
  }
  return {
    code: 'failed',
    message: sentenceOf(error),
    next: 'Try again. If it fails again, take another provider (drain_providers), or have the owner run drain-mcp doctor.',
  }
}

function kindOf(error: DrainError): string {
  if (error instanceof PaymentRejectedError && error.rejection === 'channel_expired') return 'channel_expired'
  if (error instanceof ChannelNotFoundError) return 'channel_gone'
  if (error instanceof ChannelGoneError) return 'channel_refused'
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
  channel_refused: 'Channel refused: ',
  channel_expired: 'Channel expired: ',
}

function nextSteps(wallet = 'the address of this wallet'): Record<string, string> {
  return {
    insufficient_balance: `Have the owner send USDC to ${wallet}, or open a smaller channel with drain_open_channel.`,
    insufficient_gas: `Have the owner send a little of the chain’s coin to ${wallet}, or open with gasless: true where the provider offers that.`,
    insufficient_allowance: 'Call drain_approve, then try again.',
    channel_gone: 'Open another one with drain_open_channel.',
    channel_refused:
      'Bring the rest back with drain_cooperative_close (or drain_close_channel after the expiry), then open another one with drain_open_channel.',
    channel_expired:
      'Bring the rest back with drain_close_channel (drain_cooperative_close if its time isn’t quite over), then open another one with drain_open_channel.',
    rejected_insufficient_funds:
      'See drain_channel_status. Close the channel with drain_cooperative_close, and open another one if you still trust the provider.',
    channel_unknown:
      'See drain_channels; with recover: true it looks for channels of this wallet on the chain.',
    close_failed:
      'Try again later. After the channel’s expiry drain_close_channel brings the rest back without the provider.',
    untrusted_provider: 'Don’t pay there. Look for another provider with drain_providers.',
    key_missing: 'The owner sets DRAIN_PRIVATE_KEY for this server, or runs: npx drain-mcp init',
    feature_unavailable: 'This chain’s contract can’t do that. drain_close_channel works after the expiry.',
    transaction_pending: 'Wait a minute, then call drain_channels with recover: true.',
    opening_unresolved:
      'Wait a minute, then call drain_channels with recover: true. No second deposit is made there meanwhile.',
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
  return { code: error.code, message: error.shortMessage, next: stepOf(error.limit) }
}

/** What can be done about a limit. */
function stepOf(limit: string): string {
  const variable = limitVariables[limit]
  if (limit === 'providers') return `Take another provider, or have the owner add this one to ${variable}.`
  if (variable) return `Ask for less (a lower maxTokens or amount), or have the owner raise ${variable}.`
  if (limit === 'duration') return 'Ask for a duration of at most 24h.'
  if (limit === 'locked') return 'Close channels that are not needed: drain_channels shows them.'
  if (limit === 'undelivered')
    return 'The provider charges for requests that got no answer. Close the channel (drain_cooperative_close), and take another provider.'
  return 'Close channels that are not needed, or ask for less.'
}

/** viem's long messages quote the node's URL, which may have a key in it. */
function sentenceOf(error: unknown): string {
  const { shortMessage } = (error ?? {}) as { shortMessage?: unknown }
  if (typeof shortMessage === 'string') return shortMessage
  const { message, cause } = error as Error
  const reason = cause instanceof Error && cause.message ? ` (${cause.message})` : ''
  return error instanceof Error ? `${message}${reason}` : String(error)
}
