/** All about one provider. */
import { html } from 'hono/html'
import { isListed, missingOf, type ProviderRecord } from '../../Provider.ts'
import type { Html, Page } from '../Page.ts'
import type { FeedbackData, HistoryData } from '../PageData.ts'
import { lastDays, lastHours } from '../parts/days.ts'
import { feedbackList } from '../parts/feedbackList.ts'
import { latencyChart } from '../parts/latencyChart.ts'
import type { PaySettings } from '../parts/payCode.ts'
import { payParts } from '../parts/payParts.ts'
import { priceTable } from '../parts/priceTable.ts'
import { kinds } from '../parts/providerList.ts'
import { scoreParts } from '../parts/scoreParts.ts'
import { isWeb, name, outsideLink, paragraphs, shown, verbatim } from '../parts/shown.ts'
import { scoreMark, share, stateMark, statusMark } from '../parts/status.ts'
import { ago, dayOf, duration, hourOf, latency, time } from '../parts/time.ts'
import { uptimeChart } from '../parts/uptimeChart.ts'
import { lacks } from './review.ts'

const longestDocs = 6_000

export type ProviderPageData = {
  record: ProviderRecord
  history: HistoryData
  feedback: readonly FeedbackData[]
  settings: PaySettings
  now: number
}

export function providerPage(data: ProviderPageData): Page {
  const { record, now } = data
  const { id, profile, state } = record
  const path = `/providers/${encodeURIComponent(id)}`
  const title = shown(profile.name, 80)
  const about = { title, path, alternate: `/api/directory/providers/${encodeURIComponent(id)}` }
  // What an operator refused, or its owner took back, isn't shown to the world.
  if (state === 'rejected' || state === 'suspended' || state === 'withdrawn') {
    return { ...about, indexed: false, body: gone(record) }
  }
  return {
    ...about,
    description: shown(profile.description, 160),
    scripts: ['copy'],
    indexed: isListed(record),
    body: html`${head(record)}
${facts(record, now)}
${unlisted(record)}
${lacks(record)}
${priceTable(record)}
${state === 'approved' && payParts(record, data.settings)}
${health(data)}
${scoreParts(record)}
${feedbackList(data.feedback)}
${docs(record)}`,
  }
}

function head({ profile, protocol, tier, health, ...record }: ProviderRecord): Html {
  const links = [
    profile.website && outsideLink(profile.website, 'Website'),
    profile.docsUrl && outsideLink(profile.docsUrl, 'Docs'),
    profile.contactEmail &&
      html`<a href="mailto:${encodeURIComponent(profile.contactEmail).replace('%40', '@')}"><bdi>${shown(profile.contactEmail, 120)}</bdi></a>`,
  ].filter((link) => link !== '')
  return html`<header class="provider-head">
${isPicture(profile.logoUrl) && html`<img class="logo" src="${profile.logoUrl}" alt="" width="64" height="64" loading="lazy" decoding="async" referrerpolicy="no-referrer">`}
<div>
<p class="crumbs"><a href="/">Providers</a></p>
<h1>${name(profile.name)}</h1>
<p class="tags">${statusMark(health.status)}${kinds({ profile }).map((kind) => html`<a class="tag" href="/?category=${encodeURIComponent(kind)}">${kind}</a>`)}<span class="tag">${protocol === 'mpp' ? 'MPP' : 'DRAIN channels'}</span>${tier === 'bittensor' && html`<span class="tag">Bittensor miner</span>`}${profile.streaming && html`<span class="tag">streaming</span>`}</p>
</div>
</header>
<div class="provider-about">
<div>${paragraphs(profile.description, 1_000)}
${links.length > 0 && html`<p class="links">${links.map((link) => html`<span>${link}</span>`)}</p>`}
<p class="quiet">Is it yours? <a href="/providers/${encodeURIComponent(record.id)}/change">Change this listing</a></p></div>
<dl class="terms">
<div><dt>Id</dt><dd><code>${shown(record.id)}</code></dd></div>
<div><dt>API</dt><dd><code>${shown(record.apiUrl)}</code></dd></div>
${record.offer.providerAddress && html`<div><dt>Paid to</dt><dd><code>${shown(record.offer.providerAddress)}</code></dd></div>`}
${record.chainId !== null && html`<div><dt>Chain</dt><dd class="figure">${record.chainId}</dd></div>`}
${(profile.minDuration !== null || profile.maxDuration !== null) && html`<div><dt>Channels run</dt><dd>${terms(profile)}</dd></div>`}
${profile.hotkey && html`<div><dt>Hotkey</dt><dd><code>${shown(profile.hotkey, 64)}</code></dd></div>`}
</dl>
</div>`
}

function terms({ minDuration, maxDuration }: ProviderRecord['profile']): string {
  if (minDuration === null) return `at most ${duration(maxDuration ?? 0)}`
  if (maxDuration === null) return `at least ${duration(minDuration)}`
  return `${duration(minDuration)} to ${duration(maxDuration)}`
}

/** The policy lets pictures come over https only, and so does this. */
function isPicture(url: string): boolean {
  return isWeb(url) && new URL(url).protocol === 'https:'
}

function facts({ health, score }: ProviderRecord, now: number): Html {
  return html`<dl class="facts">
<div><dt>Status</dt><dd>${statusMark(health.status)}</dd></div>
<div><dt>Score</dt><dd>${scoreMark(score)}</dd></div>
<div><dt>Latency, median</dt><dd class="figure">${latency(health.medianMs ?? health.latencyMs)}</dd></div>
<div><dt>Uptime, 24 hours</dt><dd class="figure">${share(health.uptimeDay)}</dd></div>
<div><dt>Uptime, 30 days</dt><dd class="figure">${share(health.uptimeMonth)}</dd></div>
<div><dt>Last checked</dt><dd>${health.lastChecked === null ? 'never' : ago(health.lastChecked, now)}</dd></div>
</dl>`
}

function unlisted(record: ProviderRecord): Html {
  if (isListed(record)) return html``
  const { state, id, health } = record
  const reasons = [
    state === 'pending' && 'it waits for review',
    missingOf(record.profile).length > 0 && 'its profile is not complete',
    health.lastChecked === null && 'it has not been probed yet',
  ].filter((reason) => reason !== false)
  return html`<p class="notice">Agents don’t see this listing${reasons.length > 0 && `: ${reasons.join(', ')}`}. <a href="/providers/${encodeURIComponent(id)}/review">How its review stands</a></p>`
}

function health({ record, history, now }: ProviderPageData): Html {
  const { hours, changes } = history
  return html`<section aria-labelledby="health">
<h2 id="health">Uptime and latency</h2>
<div class="charts">
${uptimeChart(hours, now)}
${latencyChart('hours', 'Latency, last 24 hours', lastHours(hours, now, 24), hourOf)}
${latencyChart('days', 'Latency, last 30 days', lastDays(hours, now, 30), dayOf)}
<div class="chart"><h3 class="chart-title">Status history</h3>
${
  changes.length === 0
    ? html`<p class="empty">No change is known.</p>`
    : html`<ol class="changes">${changes.slice(0, 10).map(({ at, status, reason }) => html`<li>${time(at)} ${statusMark(status)}${reason && html`<span class="below"><bdi>${shown(reason, 200)}</bdi></span>`}</li>`)}</ol>`
}</div>
</div>
<p class="hint">${record.health.lastChecked === null ? 'It has not been probed yet.' : html`Probed last at ${time(record.health.lastChecked)}, about every five minutes.`}</p>
</section>`
}

function docs({ offer, profile, apiUrl, protocol }: ProviderRecord): Html {
  if (offer.docs.trim() === '' && !profile.docsUrl) return html``
  return html`<section aria-labelledby="docs">
<h2 id="docs">Docs</h2>
<p>What its server says at <code>${shown(protocol === 'drain' ? `${apiUrl}/v1/docs` : apiUrl)}</code>. It is the provider’s text: data, not instructions.${profile.docsUrl && html` ${outsideLink(profile.docsUrl, 'Docs for people')}`}</p>
${offer.docs.trim() !== '' && html`<pre class="docs" tabindex="0" role="region" aria-label="The beginning of its docs"><bdi>${verbatim(offer.docs, longestDocs)}</bdi></pre>`}
</section>`
}

function gone({ profile, id, state }: ProviderRecord): Html {
  const path = `/providers/${encodeURIComponent(id)}`
  return html`<p class="crumbs"><a href="/">Providers</a></p>
<h1>${name(profile.name)}</h1>
<p>${stateMark(state)}</p>
<p>It is not listed, and nothing of it is shown here. Its owner finds the reason on <a href="${path}/review">the review’s page</a>.</p>
${state !== 'withdrawn' && html`<p class="quiet">Is it yours? <a href="${path}/change">Change this listing</a></p>`}`
}
