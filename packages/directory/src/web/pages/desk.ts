/** The operator's desk. All of it works by plain forms; the script `desk` adds wallets, and asks before it sends. */
import { html } from 'hono/html'
import type { ProviderRecord } from '../../Provider.ts'
import { missingOf } from '../../Provider.ts'
import { type Decision, type DeskFeedback, type DeskOverview, longestNote } from '../DeskParts.ts'
import type { Html, Page } from '../Page.ts'
import { checkList } from '../parts/checkList.ts'
import { name, outsideLink, paragraphs, shown } from '../parts/shown.ts'
import { stateMark, statusMark } from '../parts/status.ts'
import { ago, time } from '../parts/time.ts'

const frame = { path: '/desk', isPrivate: true, indexed: false, scripts: ['desk'] } as const

/** @param problem What was wrong with the last try. */
export function signInPage(problem?: string): Page {
  return {
    ...frame,
    title: 'Operator’s desk',
    status: problem ? 401 : 200,
    body: html`<h1>Operator’s desk</h1>
<p>For whoever runs this directory. There is no default password: tokens and wallets are named where it is started.</p>
${problem && html`<p class="notice problem" role="alert">${shown(problem)}</p>`}
<div class="two">
<section class="panel" aria-labelledby="token-title">
<h2 id="token-title">With the token</h2>
<form method="post" action="/desk/session" class="stack">
<p class="field"><label for="token">Token</label><input type="password" id="token" name="token" required maxlength="1000" autocomplete="current-password"></p>
<p><button type="submit" class="primary">Sign in</button></p>
</form>
</section>
<section class="panel" aria-labelledby="wallet-title" id="wallet-signin">
<h2 id="wallet-title">With a wallet</h2>
<div id="wallets"><p class="hint">No wallet was found in this browser, or JavaScript is off.</p></div>
</section>
</div>`,
  }
}

const countNames = [
  ['all', 'All'],
  ['approved', 'Approved'],
  ['pending', 'Waiting'],
  ['online', 'Online'],
  ['degraded', 'Degraded'],
  ['offline', 'Offline'],
] as const

/** @param said What came of the last decision. */
export function deskPage(overview: DeskOverview, operator: string, now: number, said?: string): Page {
  const { pending, counts, troubled, feedback, actions } = overview
  return {
    ...frame,
    title: 'Operator’s desk',
    body: html`<div class="desk-head"><h1>Operator’s desk</h1>
<form method="post" action="/desk/session/end"><span class="below-inline">Signed in: <code>${shown(operator, 60)}</code></span> <button type="submit">Sign out</button></form></div>
${said && html`<p class="notice" role="status">${shown(said, 400)}</p>`}
<dl class="facts">
${countNames.map(([what, name]) => html`<div><dt>${name}</dt><dd class="figure">${counts[what]}</dd></div>`)}
</dl>
<section aria-labelledby="queue">
<h2 id="queue">Queue</h2>
${pending.length === 0 ? html`<p class="empty">Nobody waits.</p>` : html`<ol class="queue">${pending.map((record) => waiting(record, now))}</ol>`}
</section>
<section aria-labelledby="troubled">
<h2 id="troubled">Health</h2>
${troubled.length === 0 ? html`<p class="empty">Everybody answers.</p>` : troubledTable(troubled, now)}
${suspendForm()}
</section>
<section aria-labelledby="reports">
<h2 id="reports">Feedback</h2>
${feedback.length === 0 ? html`<p class="empty">There is none.</p>` : html`<ol class="feedback">${feedback.map((report) => reportItem(report, now))}</ol>`}
</section>
<section aria-labelledby="log">
<h2 id="log">What operators did</h2>
${
  actions.length === 0
    ? html`<p class="empty">Nothing yet.</p>`
    : html`<div class="scroll scroll-tall" role="region" aria-label="Log" tabindex="0"><table>
<thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Whom</th><th scope="col">Why</th></tr></thead>
<tbody>${actions.map(({ at, operator, action, subject, reason }) => html`<tr><td>${time(at)}</td><td><code>${shown(operator, 60)}</code></td><td>${shown(action, 60)}</td><td><code>${shown(subject, 120)}</code></td><td class="text">${shown(reason, 300)}</td></tr>`)}</tbody>
</table></div>`
}
</section>`,
  }
}

function waiting(record: ProviderRecord, now: number): Html {
  const { id, profile, apiUrl, owner, review, createdAt, protocol } = record
  const missing = missingOf(profile)
  return html`<li class="panel">
<h3><a href="/providers/${encodeURIComponent(id)}">${name(profile.name)}</a></h3>
<p class="below">${ago(createdAt, now)} · ${protocol} · <code>${shown(apiUrl)}</code> · owner <code>${shown(owner, 60)}</code></p>
${paragraphs(profile.description, 1_000)}
<p class="links">${profile.website && html`<span>${outsideLink(profile.website)}</span>`}${profile.contactEmail && html`<span><bdi>${shown(profile.contactEmail)}</bdi></span>`}</p>
${missing.length > 0 && html`<p class="hint">Lacks ${missing.join(', ')}.</p>`}
<details><summary>Connection test: ${review.checks.filter(({ passed }) => passed).length} of ${review.checks.length} passed</summary>${checkList(review.checks)}</details>
${decisionForm(id, ['approve', 'reject'], `about ${shown(profile.name, 80)}`, record.signedAt)}
</li>`
}

function troubledTable(records: readonly ProviderRecord[], now: number): Html {
  return html`<div class="scroll" role="region" aria-label="Providers in trouble" tabindex="0"><table>
<thead><tr><th scope="col">Provider</th><th scope="col">Status</th><th scope="col">Problem</th><th scope="col">Checked</th><th scope="col">Decide</th></tr></thead>
<tbody>${records.map(
    ({ id, profile, health, state }) =>
      html`<tr><th scope="row"><a href="/providers/${encodeURIComponent(id)}">${name(profile.name, 60)}</a></th><td>${state === 'suspended' ? stateMark(state) : statusMark(health.status)}</td><td class="text"><bdi>${shown(health.problem, 200)}</bdi></td><td>${health.lastChecked === null ? 'never' : ago(health.lastChecked, now)}</td><td>${decisionForm(id, [state === 'suspended' ? 'reinstate' : 'suspend'], `about ${shown(profile.name, 80)}`)}</td></tr>`,
  )}</tbody>
</table></div>`
}

function reportItem(
  { id, providerId, at, outcome, reason, consumer, hidden }: DeskFeedback,
  now: number,
): Html {
  return html`<li>
<p><span class="status outcome-${outcome}"><span class="dot" aria-hidden="true"></span>${outcome === 'success' ? 'Worked' : 'Failed'}</span> <a href="/providers/${encodeURIComponent(providerId)}">${shown(providerId, 100)}</a> <span class="below-inline">${ago(at, now)}, by <code>${shown(consumer, 60)}</code>${hidden && ', hidden'}</span></p>
${reason && html`<p class="said" dir="auto">${shown(reason, 500)}</p>`}
${decisionForm(id, [hidden ? 'show' : 'hide'], `about the report of ${shown(consumer, 60)}`)}
</li>`
}

const words: Record<Decision['action'], string> = {
  approve: 'Approve',
  reject: 'Reject',
  suspend: 'Suspend',
  reinstate: 'Reinstate',
  hide: 'Hide',
  show: 'Show again',
}

/** One form for each thing to decide; the button that is pressed says what. */
function decisionForm(
  id: string,
  actions: readonly Decision['action'][],
  about: string,
  seen?: number,
): Html {
  const noteId = `note-${encodeURIComponent(id)}`
  return html`<form method="post" action="/desk/decisions" class="decision">
<input type="hidden" name="id" value="${id}">${seen !== undefined && html`<input type="hidden" name="seen" value="${seen}">`}
<label class="unseen" for="${noteId}">Note ${about}</label>
<input id="${noteId}" name="note" maxlength="${longestNote}" placeholder="Note, for the owner and the log">
${actions.map((action) => html`<button type="submit" name="action" value="${action}" data-confirm="${words[action]} (${about})?"${action === 'approve' && html` class="primary"`}>${words[action]}<span class="unseen"> (${about})</span></button>`)}
</form>`
}

/** For one that answers every probe, and cheats those who pay. */
function suspendForm(): Html {
  return html`<form method="post" action="/desk/decisions" class="decision">
<input type="hidden" name="action" value="suspend">
<label for="suspend-id">Take another one off: its id</label>
<input id="suspend-id" name="id" required maxlength="100" autocomplete="off">
<label for="suspend-note">Note</label>
<input id="suspend-note" name="note" maxlength="${longestNote}" placeholder="Note, for the owner and the log">
<button type="submit" data-confirm="Suspend it?">Suspend</button>
</form>`
}
