/** How a provider is: a shape, a colour and a word, so that none is needed alone. */
import { html } from 'hono/html'
import type { State, Status } from '../../Provider.ts'
import type { Html } from '../Page.ts'

const words: Record<Status, string> = {
  online: 'Online',
  degraded: 'Degraded',
  offline: 'Offline',
  unknown: 'Not checked yet',
}

const stateWords: Record<State, string> = {
  pending: 'Waiting for review',
  approved: 'Approved',
  rejected: 'Rejected',
  suspended: 'Suspended by an operator',
  withdrawn: 'Withdrawn by its owner',
}

export function statusMark(status: Status): Html {
  return html`<span class="status status-${status}"><span class="dot" aria-hidden="true"></span>${words[status]}</span>`
}

export function stateMark(state: State): Html {
  return html`<span class="status state-${state}"><span class="dot" aria-hidden="true"></span>${stateWords[state]}</span>`
}

/** `99.87 %`; never rounded up to a hundred. */
export function share(part: number | null): string {
  if (part === null) return 'not known'
  const percent = Math.floor(Math.min(1, Math.max(0, part)) * 10_000) / 100
  return `${percent === 100 ? '100' : percent.toFixed(2)} %`
}

/** A score of 0 to 1, with a bar. */
export function scoreMark(score: number): Html {
  const width = Math.round(Math.min(1, Math.max(0, score)) * 40)
  return html`<span class="score"><span class="figure">${score.toFixed(2)}</span><svg class="bar" viewBox="0 0 40 4" width="40" height="4" aria-hidden="true" focusable="false"><rect class="bar-all" width="40" height="4" rx="2"/><rect class="bar-part" width="${width}" height="4" rx="2"/></svg></span>`
}
