/** What an error says to somebody who looks at the page. */
import { ApiError } from './api.ts'

/** What to do about a limit of the page's own; the client's words speak to programmers. */
const limitActions: Record<string, string> = {
  perRequest: 'Raise “At most per request”, or ask for a shorter answer.',
  perChannel: 'Raise the deposit.',
  perProvider: 'Close the channels of this provider that you don’t need any more.',
  perDay: 'Raise “At most per day”, or go on tomorrow (UTC).',
  locked: 'Close channels that you don’t need any more.',
  undelivered: 'Close the channel: too much was paid here for answers that did not come.',
  duration: 'This provider wants channels that run longer than this page opens them.',
  confirm: 'The channel has too little left for this request. Close it, and open another.',
}

export function wordsOf(error: unknown): string {
  if (isDeclined(error)) return 'You declined in the wallet. Nothing was signed.'
  if (error instanceof ApiError) return [error.message, error.action].filter(Boolean).join(' ')
  if (!(error instanceof Error)) return String(error)
  const { limit, shortMessage, action } = error as {
    limit?: unknown
    shortMessage?: unknown
    action?: unknown
  }
  if (typeof limit === 'string' && limitActions[limit]) {
    return [limit === 'confirm' ? '' : shortMessage, limitActions[limit]].filter(Boolean).join(' ')
  }
  // Of viem's errors and ours the first lines are for people, the details for a log.
  if (typeof shortMessage === 'string') return [shortMessage, action].filter(Boolean).join(' ')
  return error.message
}

/** Whether somebody said no in the wallet (EIP-1193). */
export function isDeclined(error: unknown): boolean {
  for (let cause = error; typeof cause === 'object' && cause !== null; cause = (cause as Error).cause) {
    if ((cause as { code?: unknown }).code === 4001) return true
  }
  return false
}
