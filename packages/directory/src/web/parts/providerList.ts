/** Providers, one below the other. */
import { html } from 'hono/html'
import type { ProviderRecord } from '../../Provider.ts'
import type { Html } from '../Page.ts'
import { cheapestOf, shortPrice } from './price.ts'
import { name, shown } from './shown.ts'
import { scoreMark, share, statusMark } from './status.ts'
import { latency } from './time.ts'

const providerPath = (id: string) => `/providers/${encodeURIComponent(id)}`

export function providerList(records: readonly ProviderRecord[]): Html {
  return html`<ol class="listings">${records.map(listing)}</ol>`
}

function listing(record: ProviderRecord): Html {
  const { id, profile, health, offer, protocol, tier, score } = record
  const cheapest = cheapestOf(record)
  return html`<li><article class="listing" data-provider="${id}">
<div class="listing-what">
<h3><a href="${providerPath(id)}">${name(profile.name)}</a></h3>
<p class="listing-text" dir="auto">${shown(profile.description, 180)}</p>
<p class="tags">${kinds(record).map((kind) => html`<span class="tag">${kind}</span>`)}${protocol === 'mpp' && html`<span class="tag">MPP</span>`}${tier === 'bittensor' && html`<span class="tag">Bittensor</span>`}${offer.models.length > 0 && html`<span class="tag tag-plain">${offer.models.length} ${offer.models.length === 1 ? 'model' : 'models'}</span>`}</p>
</div>
<dl class="listing-facts">
<div><dt>Status</dt><dd>${statusMark(health.status)}<span class="below">${share(health.uptimeMonth)} in 30 days</span></dd></div>
<div><dt>Latency</dt><dd><span class="figure">${latency(health.medianMs ?? health.latencyMs)}</span><span class="below">median</span></dd></div>
<div><dt>Score</dt><dd>${scoreMark(score)}</dd></div>
<div class="listing-price"><dt>${offer.models.length > 1 ? 'Price from' : 'Price'}</dt><dd>${cheapest ? shortPrice(cheapest) : html`<span class="below">asked with each request</span>`}</dd></div>
</dl>
</article></li>`
}

export function kinds({ profile }: Pick<ProviderRecord, 'profile'>): string[] {
  return [...new Set([profile.category, ...profile.moreCategories])]
}
