/** Every model that somebody offers, and the prices of one side by side. */
import { html } from 'hono/html'
import { isOnline } from '../../Provider.ts'
import type { ModelEntry, Models, Offering } from '../Models.ts'
import type { Html, Page } from '../Page.ts'
import { field } from '../parts/fields.ts'
import { pager } from '../parts/pager.ts'
import { isFlat, shortPrice, usdc } from '../parts/price.ts'
import { name, shown } from '../parts/shown.ts'
import { scoreMark, share, statusMark } from '../parts/status.ts'
import { latency } from '../parts/time.ts'

const onPage = 50
/** Of one model; agents page through all of them. */
const mostOfferings = 200

export const modelPath = (id: string) => `/models/${encodeURIComponent(id)}`

export function modelsPage(models: Models, given: URLSearchParams): Page {
  const search = (given.get('search') ?? '').trim().slice(0, 200)
  const words = search.toLowerCase()
  const fitting = models.all().filter(({ id }) => id.toLowerCase().includes(words))
  const cursor = given.get('cursor')
  const from = cursor === null ? 0 : fitting.findIndex(({ id }) => id === cursor) + 1
  const entries = fitting.slice(from, from + onPage)
  const next = from + onPage < fitting.length ? entries.at(-1)?.id : undefined
  const asked = new URLSearchParams(search && { search })
  if (from > 0 && cursor !== null) asked.set('cursor', cursor)
  return {
    title: 'Prices by model',
    path: '/models',
    description: 'Every model that is offered here, with who offers it for the least.',
    alternate: '/api/directory/pricing',
    indexed: asked.size === 0,
    body: html`<h1>Prices by model</h1>
<form class="filters filters-short" method="get" action="/models" role="search" aria-label="Models">
${field('search', 'Search', { type: 'search', value: search, longest: 200 })}
<div class="filters-end"><button type="submit" class="primary">Show</button></div>
</form>
<p class="count" role="status">${fitting.length} ${fitting.length === 1 ? 'model' : 'models'}</p>
${
  entries.length > 0 &&
  html`<div class="scroll" role="region" aria-label="Table of models" tabindex="0"><table>
<thead><tr><th scope="col">Model</th><th scope="col" class="number">Providers</th><th scope="col">Cheapest</th><th scope="col">From</th></tr></thead>
<tbody>${entries.map(row)}</tbody>
</table></div>`
}
${pager('/models', asked, next)}`,
  }
}

function row({ id, offerings }: ModelEntry): Html {
  const [best] = offerings
  return html`<tr><th scope="row"><a class="model" href="${modelPath(id)}">${name(id)}</a></th><td class="number">${offerings.length}</td><td>${best && shortPrice(best.model)}</td><td>${best && html`<a href="/providers/${encodeURIComponent(best.record.id)}">${name(best.record.profile.name, 60)}</a>`}</td></tr>`
}

/** `undefined` for a model that nobody offers. */
export function modelPage(models: Models, id: string): Page | undefined {
  const entry = models.get(id)
  if (!entry) return undefined
  const { offerings } = entry
  const online = offerings.filter(({ record }) => isOnline(record.health)).length
  return {
    title: `${shown(id, 80)}: prices`,
    path: modelPath(id),
    description: `Who offers ${shown(id, 80)}, cheapest first: prices in USDC, latency, uptime and score.`,
    alternate: `/api/mcp/providers?${new URLSearchParams({ model: id, online: 'false' })}`,
    body: html`<p class="crumbs"><a href="/models">Prices by model</a></p>
<h1 class="model">${name(id)}</h1>
<p>${offerings.length} ${offerings.length === 1 ? 'provider' : 'providers'}, ${online} online. Those that answer come first, the cheapest of them on top: compared by a request of
1,000 tokens that is answered with 1,000.${offerings.length > mostOfferings && ` Here are the first ${mostOfferings}.`}</p>
<div class="scroll" role="region" aria-label="Providers of ${shown(id, 80)}" tabindex="0"><table>
<thead><tr><th scope="col">Provider</th><th scope="col" class="number">In, USDC<br>per 1k tokens</th><th scope="col" class="number">Out, USDC<br>per 1k tokens</th><th scope="col">Status</th><th scope="col" class="number">Latency</th><th scope="col" class="number">Uptime<br>30 days</th><th scope="col">Score</th></tr></thead>
<tbody>${offerings.slice(0, mostOfferings).map(offeringRow)}</tbody>
</table></div>
<p class="hint">A price with “flat” is one price, however long the answer is: often per request; the provider’s docs say which.</p>`,
  }
}

function offeringRow({ record, model }: Offering): Html {
  const { id, profile, health, score } = record
  return html`<tr>
<th scope="row"><a href="/providers/${encodeURIComponent(id)}">${name(profile.name, 60)}</a></th>
<td class="number">${usdc(model.inputPer1kTokens)}</td>
<td class="number">${isFlat(model) ? 'flat' : usdc(model.outputPer1kTokens)}</td>
<td>${statusMark(health.status)}</td>
<td class="number">${latency(health.medianMs ?? health.latencyMs)}</td>
<td class="number">${share(health.uptimeMonth)}</td>
<td>${scoreMark(score)}</td>
</tr>`
}
