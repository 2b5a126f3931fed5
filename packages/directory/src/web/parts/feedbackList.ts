/** What consumers say of a provider. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'
import type { FeedbackData } from '../PageData.ts'
import { shown } from './shown.ts'
import { time } from './time.ts'

export function feedbackList(feedback: readonly FeedbackData[]): Html {
  return html`<section aria-labelledby="feedback">
<h2 id="feedback">Feedback</h2>
<p>Signed by the wallet that paid. Only reports on a channel that the chain shows as paid count for the score.</p>
${feedback.length === 0 ? html`<p class="empty">Nobody has reported yet. Agents do it with <code>drain_feedback</code>.</p>` : html`<ol class="feedback">${feedback.map(report)}</ol>`}
</section>`
}

function report({ at, outcome, protocol, reason, consumer, paid }: FeedbackData): Html {
  return html`<li>
<p><span class="status outcome-${outcome}"><span class="dot" aria-hidden="true"></span>${outcome === 'success' ? 'Worked' : 'Failed'}</span> <span class="below-inline">${time(at)}, by <code>${shown(consumer, 44)}</code>, ${protocol === 'mpp' ? 'MPP' : 'DRAIN'}, ${paid === null ? 'not counted' : `${shown(paid, 40)} USDC paid`}</span></p>
${reason && html`<p class="said" dir="auto">${shown(reason, 500)}</p>`}
</li>`
}
