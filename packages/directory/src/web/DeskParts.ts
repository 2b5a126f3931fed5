/** What the operator's desk is made of. */
import type { ProviderRecord } from '../Provider.ts'

export const decisions = ['approve', 'reject', 'suspend', 'reinstate', 'hide', 'show'] as const

export type Decision = {
  /** `hide` and `show` are about feedback, the others about a provider. */
  action: (typeof decisions)[number]
  /** Of the provider, or of the feedback as {@link DeskFeedback} has it. */
  id: string
  /** For the owner and the log; at most {@link longestNote} characters. */
  note: string
  /** The `signedAt` of the provider as the operator saw it: what its owner has changed since is not decided about. */
  seen?: number | undefined
}

export const longestNote = 500

export type DeskFeedback = {
  id: string
  providerId: string
  at: number
  outcome: 'success' | 'failure'
  reason: string
  consumer: string
  hidden: boolean
}

export type DeskOverview = {
  /** The oldest first. */
  pending: readonly ProviderRecord[]
  counts: {
    /** In all states. */
    all: number
    approved: number
    pending: number
    online: number
    degraded: number
    offline: number
  }
  /** Approved ones that are offline or degraded, and suspended ones. */
  troubled: readonly ProviderRecord[]
  /** The latest first. */
  feedback: readonly DeskFeedback[]
  actions: readonly { at: number; operator: string; action: string; subject: string; reason: string }[]
}

export type DeskParts = {
  /** An address or `token`; only for requests that this directory's own pages sent. */
  operatorOf(request: Request): Promise<string | undefined>
  /** @throws {Problem} 401 */
  signInWithToken(token: string): Promise<{ cookie: string }>
  /** Ends a session; for `Set-Cookie`. */
  signOutCookie: string
  overview(): Promise<DeskOverview>
  /** What was done, in a sentence. @throws {Problem} */
  decide(operator: string, decision: Decision): Promise<string>
}
