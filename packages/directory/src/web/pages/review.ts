/** How the review of a listing stands, for its owner. */
import { html } from 'hono/html'
import { isListed, isOnline, missingOf, type ProviderRecord } from '../../Provider.ts'
import type { Html, Page } from '../Page.ts'
import { checkList } from '../parts/checkList.ts'
import { name, paragraphs, shown } from '../parts/shown.ts'
import { stateMark } from '../parts/status.ts'
import { time } from '../parts/time.ts'

export function reviewPage(record: ProviderRecord): Page {
  const { id, profile, state, review, createdAt, apiUrl } = record
  const path = `/providers/${encodeURIComponent(id)}`
  return {
    title: `Review of ${shown(profile.name, 80)}`,
    path: `${path}/review`,
    alternate: `/api/directory/providers/${encodeURIComponent(id)}`,
    indexed: false,
    body: html`<p class="crumbs"><a href="${path}">${name(profile.name)}</a></p>
<h1>Review</h1>
<dl class="facts">
<div><dt>State</dt><dd>${stateMark(state)}</dd></div>
<div><dt>API</dt><dd><code>${shown(apiUrl)}</code></dd></div>
<div><dt>Registered</dt><dd>${time(createdAt)}</dd></div>
<div><dt>Shown to agents</dt><dd>${isListed(record) && isOnline(record.health) ? 'yes' : 'not yet'}</dd></div>
</dl>
<p>${nextStep(record)}${state !== 'withdrawn' && html` <a href="${path}/change">Change this listing</a>`}</p>
${review.note && html`<section aria-labelledby="note"><h2 id="note">The operator’s note</h2>${paragraphs(review.note, 500)}</section>`}
${lacks(record)}
<section aria-labelledby="checks-title">
<h2 id="checks-title">Latest connection test</h2>
${review.checks.length > 0 ? checkList(review.checks) : html`<p class="empty">It has not run yet.</p>`}
${review.testedAt !== null && html`<p class="hint">Run at ${time(review.testedAt)}.</p>`}
</section>`,
  }
}

/** What keeps it from agents, if anything does. */
export function lacks(record: ProviderRecord): Html {
  const missing = missingOf(record.profile)
  const { problem } = record.health
  const hasNoModels = record.protocol === 'drain' && record.offer.models.length === 0
  if (missing.length === 0 && !problem && !hasNoModels) return html``
  return html`<section class="panel panel-warning" aria-labelledby="lacks">
<h2 id="lacks">What it lacks</h2>
${missing.length > 0 && html`<p>The profile is ${100 - missing.length * 20} % complete; agents see complete ones only. Add ${listed(missing)}.</p>`}
${hasNoModels && html`<p>Its <code>/v1/pricing</code> has no models that could be read.</p>`}
${problem && html`<p>At the latest probe: <bdi>${shown(problem, 400)}</bdi></p>`}
</section>`
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

function nextStep({ state }: ProviderRecord): string {
  if (state === 'pending')
    return 'An operator has it in the queue. This page changes when it was decided; there is nothing to do.'
  if (state === 'approved') return 'It was approved. It is probed every few minutes from now on.'
  if (state === 'rejected') return 'It was not taken. Mend what the note says, and send it again.'
  if (state === 'suspended')
    return 'An operator took it off the list. Write to the operator when that is mended.'
  return 'Its owner took it off the list. Registering again makes another listing of it.'
}
