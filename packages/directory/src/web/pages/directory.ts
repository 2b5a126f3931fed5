/** The list of providers, with its filters in the address. */
import { html } from 'hono/html'
import { filterOf, listQuery, writeCursor } from '../../listing/listQuery.ts'
import { categories, isOnline, protocols, tiers } from '../../Provider.ts'
import type { Rooms } from '../../Rooms.ts'
import type { Html, Page } from '../Page.ts'
import { checkbox, field, select } from '../parts/fields.ts'
import { addressOf, pager } from '../parts/pager.ts'
import { providerList } from '../parts/providerList.ts'
import { ago } from '../parts/time.ts'

const onPage = 20
const names = ['search', 'model', 'category', 'protocol', 'tier', 'minScore', 'online', 'cursor'] as const

export function directoryPage(
  { snapshot, now }: Pick<Rooms, 'snapshot' | 'now'>,
  given: URLSearchParams,
): Page {
  const { query, ignored } = readQuery(given)
  const { records, total, next } = snapshot.select(filterOf(query), { limit: onPage, after: query.cursor })
  const asked = new URLSearchParams()
  for (const name of names) {
    const value = given.get(name)
    if (value !== null && value !== '' && !ignored.includes(name)) asked.set(name, value)
  }
  const { listed } = snapshot
  const online = listed.filter(({ health }) => isOnline(health)).length
  return {
    title: 'Providers',
    path: '/',
    description:
      'Services that agents and people pay by the request in USDC: prices, status, latency and scores.',
    alternate: addressOf('/api/mcp/providers', asked),
    indexed: asked.size === 0,
    body: html`<div class="lead">
<h1>Services that are paid by the request</h1>
<p>Find who answers, compare what it costs, pay from a wallet. <a href="/skill.md">Agents start here</a>.</p>
<p class="tally"><strong class="figure">${online}</strong> of <strong class="figure">${listed.length}</strong> providers online · <a href="/models">prices by model</a> · looked at ${ago(snapshot.readAt, now())}</p>
</div>
${filters(given)}
${ignored.length > 0 && html`<p class="notice" role="status">Left out, because the value makes no sense here: ${ignored.join(', ')}.</p>`}
<section aria-labelledby="results">
<h2 id="results" class="count">${total === 0 ? 'Nobody fits' : `${total} ${total === 1 ? 'provider' : 'providers'}`}${query.online && total > 0 && html` <span class="unit">online</span>`}</h2>
${records.length > 0 ? providerList(records) : nothing(listed.length, query.online)}
${pager('/', asked, next && writeCursor(next))}
</section>`,
  }
}

/** What isn't understood is left out and named: an address that somebody typed should still show a list. */
function readQuery(given: URLSearchParams) {
  const known: Record<string, string> = {}
  const ignored: string[] = []
  for (const name of names) {
    const value = given.get(name)?.trim()
    if (!value) continue
    if (listQuery.shape[name].safeParse(value).success) known[name] = value
    else ignored.push(name)
  }
  return { query: listQuery.parse(known), ignored }
}

function filters(given: URLSearchParams): Html {
  const value = (name: string) => (given.get(name) ?? '').slice(0, 200)
  const any = (words: readonly string[]) =>
    [['', 'any'], ...words.map((word) => [word, word] as const)] as const
  return html`<form class="filters" method="get" action="/" role="search" aria-label="Providers">
${field('search', 'Search', { type: 'search', value: value('search'), longest: 200, placeholder: 'Name, description or model' })}
${field('model', 'Model', { type: 'search', value: value('model'), longest: 200 })}
${select('category', 'Category', any(categories), value('category'))}
${select('protocol', 'Protocol', any(protocols), value('protocol'))}
${select('tier', 'Tier', any(tiers), value('tier'))}
${field('minScore', 'Least score', { type: 'search', value: value('minScore'), longest: 6, placeholder: '0 to 1' })}
<div class="filters-end">${checkbox('online', 'Also those that are offline', { value: 'false', checked: value('online') === 'false' })}
<button type="submit" class="primary">Show</button>
<a href="/">Clear</a></div>
</form>`
}

function nothing(listed: number, onlineOnly: boolean): Html {
  if (listed === 0)
    return html`<p class="empty">No provider is listed yet. <a href="/become-a-provider">Be the first</a>.</p>`
  return html`<p class="empty">Try fewer words${onlineOnly && html`, or include <a href="/?online=false">those that are offline</a>`}.</p>`
}
