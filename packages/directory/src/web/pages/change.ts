/**
 * Where an owner changes a listing or withdraws it: `#change` and `#withdraw`, which the script `change` signs and sends. Also of one that
 * isn't shown to the world: what it says stands in fields only, and no search engine lists the page.
 */
import { html } from 'hono/html'
import { getAddress, isAddress } from 'viem'
import type { ProviderRecord } from '../../Provider.ts'
import { wordsOfListing } from '../../register/wordsOfListing.ts'
import type { Settings } from '../../settings.ts'
import type { Html, Page } from '../Page.ts'
import { codeBlock, jsonWord, shellWord } from '../parts/code.ts'
import { field } from '../parts/fields.ts'
import { apiUrlField, mppFields, profileFields, testPanel, walletsPart } from '../parts/listingForm.ts'
import { name, paragraphs, shown } from '../parts/shown.ts'
import { stateMark } from '../parts/status.ts'

export function changePage(record: ProviderRecord, settings: Pick<Settings, 'origin' | 'review'>): Page {
  const { id, profile, state, protocol, offer, review } = record
  const path = pathOf(record)
  const owner = ownerOf(record)
  const isGone = state === 'withdrawn'
  return {
    title: `Change ${shown(profile.name, 80)}`,
    path: `${path}/change`,
    alternate: `/api/directory/providers/${encodeURIComponent(id)}`,
    indexed: false,
    scripts: isGone ? [] : ['change', 'copy'],
    body: html`<p class="crumbs"><a href="${path}">${name(profile.name)}</a></p>
<h1>Change this listing</h1>
<dl class="facts">
<div><dt>State</dt><dd>${stateMark(state)}</dd></div>
<div><dt>Owner</dt><dd>${owner ? html`<code>${owner}</code>` : 'whoever has its token'}</dd></div>
<div><dt>How it is paid</dt><dd>${protocol === 'mpp' ? 'MPP, by the request' : 'DRAIN channels'}</dd></div>
${offer.providerAddress && offer.providerAddress.toLowerCase() !== record.owner && html`<div><dt>Paid to</dt><dd><code>${shown(offer.providerAddress)}</code></dd></div>`}
</dl>
<p>${standing(record, settings)} <a href="${path}/review">How its review stands</a></p>
${
  isGone
    ? html`<p><a href="/become-a-provider">Register it again</a></p>`
    : html`${review.note && html`<section aria-labelledby="note"><h2 id="note">The operator’s note</h2>${paragraphs(review.note, 500)}</section>`}
<section aria-labelledby="form-title">
<h2 id="form-title">What it says</h2>
${form(record, owner)}
</section>
${withdrawal(record)}
${withoutForm(record, settings.origin, owner)}`
}`,
  }
}

const pathOf = ({ id }: ProviderRecord) => `/providers/${encodeURIComponent(id)}`

/** As people write it; `undefined` where a token stands for the owner. */
const ownerOf = ({ owner }: ProviderRecord) =>
  isAddress(owner, { strict: false }) ? getAddress(owner) : undefined

/** What changing it does, now. */
function standing({ state }: ProviderRecord, { review }: Pick<Settings, 'review'>): string {
  if (state === 'withdrawn') return 'Its owner took it off the list, for good. There is nothing to change.'
  if (state === 'suspended')
    return 'An operator took it off the list. What you change is kept, and it stays off until an operator puts it back.'
  if (state === 'rejected')
    return review
      ? 'An operator did not take it. Mend what the note says and send it: then an operator looks at it again.'
      : 'It was not taken. Mend what is wrong and send it: what passes the connection test is listed.'
  if (state === 'pending') return 'An operator has it in the queue, and sees it as you change it.'
  return review
    ? 'Changes show at once. With another name or another API URL it goes off the list until an operator has looked at it again.'
    : 'Changes show at once.'
}

function form(record: ProviderRecord, owner: string | undefined): Html {
  const words = wordsOfListing(record)
  const { protocol, offer } = record
  // What a client of the API has said of a DRAIN provider stays.
  const hasMpp = protocol === 'mpp' || words.mppEndpoint !== undefined || words.mppType !== undefined
  return html`<p>Everything is sent anew, as it stands here, after the connection test. Who is paid and how can’t be changed: that is another listing.</p>
<noscript><p class="notice">${owner ? 'Signing takes JavaScript and a wallet in this browser.' : 'Sending it takes JavaScript.'} Without them use the API, as shown below.</p></noscript>
<form id="change" class="form" method="dialog" data-provider="${record.id}" data-owner="${owner ?? ''}" data-protocol="${protocol}" data-payee="${offer.providerAddress ?? ''}">
<fieldset>
<legend>The service</legend>
<div class="fields">
${apiUrlField(words)}
</div>
${hasMpp && mppFields(words)}
</fieldset>
${profileFields(words)}
${owner ? testPanel(walletsPart) : testPanel(tokenPart, 'Send')}
</form>`
}

const tokenPart = html`<div class="fields">
${field('token', 'Token', { type: 'password', mark: 'to send or withdraw it', longest: 200, autocomplete: 'off', hint: 'This service was registered without a wallet, and its registration answered with a token, once. Nothing else proves that it is yours.' })}
</div>
<details>
<summary>The token is lost</summary>
<p>Then nothing can change this listing. If the service’s 402 names an address that is paid, <a href="/become-a-provider">register it anew</a> with that wallet: this listing gives way. Otherwise write to the operator.</p>
</details>`

function withdrawal(record: ProviderRecord): Html {
  const { protocol, state, profile } = record
  if (state === 'suspended') {
    return html`<section aria-labelledby="withdraw-title">
<h2 id="withdraw-title">Withdraw it</h2>
<p>While an operator has it off the list, it can’t be withdrawn. Agents don’t see it.</p>
</section>`
  }
  const title = shown(profile.name, 80)
  return html`<section aria-labelledby="withdraw-title" class="panel panel-warning">
<h2 id="withdraw-title">Withdraw it</h2>
<ul>
<li>It goes off the list at once, for agents and for people, and is not probed any more.</li>
<li>This can’t be undone. Registering again makes another listing, with another id, its own probes and its own review.</li>
<li>Failures that its payers reported stay with the wallet that is paid.</li>
<li>${protocol === 'mpp' ? 'Your server goes on as it is: who knows it can still pay it.' : 'Your server and its open channels go on as they are: who has a channel can still use it, and close it.'}</li>
</ul>
<div id="withdraw" data-confirm="Withdraw “${title}” for good? It goes off the list at once, and this can’t be undone."></div>
</section>`
}

function withoutForm(record: ProviderRecord, origin: string, owner: string | undefined): Html {
  const what = owner
    ? html`Both are signed by the owner’s wallet, as the actions <code>provider.update</code> and <code>provider.withdraw</code> whose subject is the listing’s id: <a href="/api/drain/signing">/api/drain/signing</a> shows what to sign.`
    : html`Both take the token in place of a signature.`
  return html`<section aria-labelledby="api">
<h2 id="api">Without this form</h2>
<p>${what} <a href="/docs/api">The API’s page</a> has every field; what a change leaves out is empty afterwards.</p>
${codeBlock('The call that changes it', changeCall(record, origin))}
${record.state !== 'suspended' && codeBlock('The call that withdraws it', withdrawCall(record, origin))}
</section>`
}

/** As it stands, to be changed. */
export function changeCall(record: ProviderRecord, origin: string): string {
  const words = wordsOfListing(record)
  const proof = words.hotkey && { tier: 'bittensor', hotkeySignature: '0x…' }
  return callOf(record, origin, { method: 'PUT', path: '', body: { ...words, ...proof } })
}

export function withdrawCall(record: ProviderRecord, origin: string): string {
  return callOf(record, origin, { method: 'POST', path: '/withdraw', body: {} })
}

function callOf(
  record: ProviderRecord,
  origin: string,
  { method, path, body }: { method: string; path: string; body: object },
): string {
  const owner = ownerOf(record)
  const proof = { chainId: record.chainId ?? 137, issuedAt: 1_790_000_000_000, signature: '0x…' }
  const address = `${origin}/api/directory/providers/${encodeURIComponent(record.id)}${path}`
  return [
    `curl -X ${method} ${shellWord(address)} \\`,
    "  -H 'Content-Type: application/json' \\",
    ...(owner ? [] : [`  -H "Authorization: Bearer $TOKEN" \\`]),
    `  -d ${jsonWord(owner ? { ...body, ...proof } : body)}`,
  ].join('\n')
}
