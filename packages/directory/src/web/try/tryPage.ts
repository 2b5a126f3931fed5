/** Where people pay a provider from their own wallet, to see how it answers. The script `try` does it. */
import { html } from 'hono/html'
import { isListed, isOnline, type ProviderRecord } from '../../Provider.ts'
import type { Rooms } from '../../Rooms.ts'
import type { Html, Page } from '../Page.ts'
import { field } from '../parts/fields.ts'
import { name, shown } from '../parts/shown.ts'
import { notToTry, trialOf } from './Trial.ts'

const most = 24
const path = '/try'

/** @param query `provider`, the id of one; or `search`, text to find some. */
export function tryPage(
  { snapshot, settings }: Pick<Rooms, 'snapshot' | 'settings'>,
  query: URLSearchParams,
): Page {
  const id = query.get('provider')?.slice(0, 100)
  if (!id) return choicePage(snapshot, query.get('search')?.slice(0, 100) ?? '')
  const record = snapshot.get(id)
  if (!record || !isListed(record)) {
    return {
      ...{ title: 'Try it', path, status: 404, indexed: false },
      body: html`<h1>There is no such provider</h1>
<p>It was not found among those that are listed. <a href="${path}">Choose another one</a>.</p>`,
    }
  }
  const isThere = trialOf(record, settings) !== undefined
  return {
    title: `Try ${record.profile.name}`,
    path: `${path}?provider=${encodeURIComponent(record.id)}`,
    description: `Pay ${shown(record.profile.name)} from your wallet, and see how it answers.`,
    scripts: isThere ? ['try'] : [],
    alternate: `/api/directory/providers/${encodeURIComponent(record.id)}`,
    indexed: false,
    // Channels of one wallet may be at any provider, and all can be closed here.
    connect: ['https:', ...(settings.allowLoopback ? ['http://127.0.0.1:*', 'http://localhost:*'] : [])],
    body: html`${head(record)}${isThere ? trial(record, settings) : html`<p class="notice">${notToTry(record)}</p>`}`,
  }
}

function choicePage(snapshot: Rooms['snapshot'], search: string): Page {
  const filter = { search: search.trim() || undefined, protocol: 'drain', online: true }
  const { records, total } = snapshot.select(filter, { limit: most })
  return {
    title: 'Try it',
    path,
    description: 'Choose a provider, pay it from your wallet, and get back what is left.',
    body: html`<h1>Try it</h1>
<p>Choose who answers. Your wallet locks a small deposit for it with one signature; each request takes from that what it costs, and
what is left comes back when you close.</p>
<form method="get" action="${path}" role="search" class="filters filters-short" aria-label="Providers to try">
${field('search', 'Find a provider or a model', { type: 'search', value: search, longest: 100 })}
<div class="filters-end"><button type="submit" class="primary">Search</button></div>
</form>
<p role="status">${total === 0 ? 'Nobody who is online fits.' : `${total} online${total > most ? `, the best ${most} of them` : ''}`}</p>
<ul class="cards">
${records.map(
  (record) => html`<li><article class="card">
<h2><a href="${path}?provider=${encodeURIComponent(record.id)}">${name(record.profile.name)}</a></h2>
<p dir="auto">${shown(record.profile.description, 160)}</p>
<p class="below">${record.profile.category}, ${record.offer.models.length} ${record.offer.models.length === 1 ? 'model' : 'models'}</p></article></li>`,
)}
</ul>`,
  }
}

function head({ id, profile, health }: ProviderRecord): Html {
  return html`<h1>Try ${name(profile.name)}</h1>
<p>${shown(profile.description, 300)} <a href="/providers/${encodeURIComponent(id)}">All about it</a></p>
${!isOnline(health) && html`<p class="notice">It did not answer when it was asked last: a request may fail. Deposits come back either way.</p>`}`
}

function trial(record: ProviderRecord, settings: Rooms['settings']): Html {
  return html`<noscript><p class="notice">This page pays from a wallet in your browser, which takes JavaScript. <a href="/providers/${encodeURIComponent(record.id)}">Its page</a>
shows how to pay with drain-mcp, the SDK or curl.</p></noscript>
<div id="try" class="try" data-trial="${JSON.stringify(trialOf(record, settings))}">
<section id="connecting" class="panel" aria-labelledby="connecting-title">
<h2 id="connecting-title">Connect a wallet</h2>
<div id="wallets"><p>No wallet was found in this browser. Install one, then load the page anew.</p></div>
</section>

<section id="limits" class="panel" aria-labelledby="limits-title">
<h2 id="limits-title">Your limits</h2>
<p>Nothing above them is ever signed. In USDC.</p>
<form id="limits-form" class="form" novalidate>
<div class="fields">
${field('per-request', 'At most per request', { required: true, autocomplete: 'off' })}
${field('deposit', 'Deposit: at most per channel', { required: true, autocomplete: 'off' })}
${field('per-day', 'At most per day', { required: true, autocomplete: 'off' })}
</div>
</form>
</section>

<section id="opening" class="panel" aria-labelledby="opening-title" hidden>
<h2 id="opening-title">Open a channel</h2>
<dl class="facts">
<div><dt>Wallet</dt><dd><code data-show="account"></code></dd></div>
<div><dt>It holds</dt><dd data-show="balance"></dd></div>
<div><dt>Paid to</dt><dd><code data-show="payee"></code></dd></div>
</dl>
<p data-show="way"></p>
<button type="button" id="open" class="primary">Open a channel</button>
</section>

<section id="using" class="panel" aria-labelledby="using-title" hidden>
<h2 id="using-title" tabindex="-1">Ask</h2>
<dl class="facts">
<div><dt>Deposit</dt><dd data-show="locked"></dd></div>
<div><dt>Spent</dt><dd data-show="spent"></dd></div>
<div><dt>Left</dt><dd data-show="left"></dd></div>
</dl>
<div role="log" aria-label="Requests and answers"><ol id="log" class="rows"></ol></div>
<form id="ask" class="form">
<fieldset>
<legend>What to send</legend>
<p class="check"><input type="radio" id="kind-chat" name="kind" value="chat" checked> <label for="kind-chat">A chat message</label></p>
<p class="check"><input type="radio" id="kind-call" name="kind" value="call"> <label for="kind-call">A request as JSON</label></p>
</fieldset>
<div id="chat-fields" class="fields">
<p class="field"><label for="model">Model</label><select id="model"></select></p>
<p class="field"><label for="max-tokens">Longest answer, in tokens</label><input id="max-tokens" inputmode="numeric" value="512" pattern="[1-9][0-9]{0,5}"></p>
<p class="field whole"><label for="message">Your message</label><textarea id="message" rows="3" autocomplete="off"></textarea></p>
</div>
<div id="call-fields" class="fields" hidden>
<p class="field"><label for="call-path">Path</label><input id="call-path" value="/v1/chat/completions" spellcheck="false" autocomplete="off"></p>
<p class="field whole"><label for="call-body">Body, as JSON (POST)</label><textarea id="call-body" rows="8" spellcheck="false"></textarea></p>
</div>
<p id="estimate" class="hint" aria-live="polite"></p>
<button type="submit" class="primary">Send</button>
</form>
</section>

<section id="closed" class="panel" aria-labelledby="closed-title" hidden>
<h2 id="closed-title" tabindex="-1">Closed</h2>
<p><strong data-show="refund"></strong> came back to your wallet; the provider kept <span data-show="kept"></span>.</p>
<p>Transaction <code data-show="transaction"></code></p>
</section>

<section id="channels" class="panel" aria-labelledby="channels-title" hidden>
<h2 id="channels-title">Your channels</h2>
<p>What this browser knows of, also after a reload. Closing asks the provider, which settles at once; after the expiry it takes nobody.</p>
<ul id="channel-list" class="rows"></ul>
<button type="button" id="recover">Look for more on the chain</button>
</section>
</div>`
}
