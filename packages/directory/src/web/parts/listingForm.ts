/**
 * The form of a listing, on the page where one comes and on that where it changes. A field has the API's name for it. The scripts find
 * `#test`, a button that tests the connection, `#checks` for the checks as they end, `#actions` for what has to be said beside the buttons,
 * and `#wallets` for the wallets' buttons.
 */
import { html } from 'hono/html'
import { categories } from '../../Provider.ts'
import type { ListingWords } from '../../register/wordsOfListing.ts'
import type { Html } from '../Page.ts'
import { checkbox, field, select } from './fields.ts'

type Words = Partial<ListingWords>

/** Listings without them are accepted, and agents aren't shown them. */
const agentsNeedIt = { mark: 'needed to be listed' } as const
const longestDuration = 4_294_967_295

export function apiUrlField({ apiUrl }: Words = {}): Html {
  return field('apiUrl', 'API URL', {
    ...{ type: 'url', required: true, longest: 300, placeholder: 'https://api.example.com', value: apiUrl },
    hint: 'Requests go below it: /v1/pricing, /v1/docs, /v1/chat/completions.',
  })
}

/** Of MPP services only. */
export function mppFields({ mppEndpoint, mppType }: Words = {}): Html {
  return html`<div class="fields" data-only="mpp">
${field('mppEndpoint', 'What is paid', { longest: 300, placeholder: '/api/search', value: mppEndpoint, hint: 'A path below the API URL, or a URL of the same host. Of MPP services only.' })}
${select(
  'mppType',
  'Kind',
  [
    ['', 'not said'],
    ['llm', 'llm: chat completions'],
    ['rest', 'rest: any other request'],
  ],
  mppType,
)}
</div>`
}

/** What people and agents read, the terms, and a miner's proof. */
export function profileFields(words: Words = {}): Html {
  const { moreCategories = [], hotkey } = words
  return html`<fieldset>
<legend>What people and agents read</legend>
<div class="fields">
${field('name', 'Name', { required: true, longest: 80, value: words.name })}
${field('contactEmail', 'Contact e-mail', { ...agentsNeedIt, type: 'email', longest: 200, value: words.contactEmail, hint: 'Shown on the provider’s page.', autocomplete: 'email' })}
${field('description', 'Description', { ...agentsNeedIt, rows: 4, longest: 1_000, value: words.description, hint: 'What it does, for whom, and what is special about it. At most 1,000 characters.' })}
${field('website', 'Website', { ...agentsNeedIt, type: 'url', longest: 500, value: words.website })}
${field('logoUrl', 'Logo URL', { ...agentsNeedIt, type: 'url', longest: 500, value: words.logoUrl })}
${field('docsUrl', 'Docs URL', { ...agentsNeedIt, type: 'url', longest: 500, value: words.docsUrl, hint: 'For people; agents read /v1/docs.' })}
${select(
  'category',
  'Category',
  categories.map((one) => [one, one] as const),
  words.category ?? 'llm',
)}
</div>
<fieldset class="inner" aria-describedby="more-hint">
<legend>More categories</legend>
<p class="hint" id="more-hint">At most three.</p>
<div class="checks">${categories.map((one) => checkbox('moreCategories', one, { value: one, id: `more-${one}`, checked: moreCategories.includes(one) }))}</div>
</fieldset>
</fieldset>
<fieldset>
<legend>Terms</legend>
<div class="fields">
${durationField('minDuration', 'Shortest channel, in seconds', words.minDuration)}
${durationField('maxDuration', 'Longest channel, in seconds', words.maxDuration)}
</div>
${checkbox('streaming', 'Answers are streamed', { checked: words.streaming })}
</fieldset>
<details${hotkey && html` open`}>
<summary>A Bittensor miner</summary>
<p>With a hotkey the listing is of the tier <code>bittensor</code>. It takes the miner’s sr25519 signature of <code>handshake58:{hotkey}:{apiUrl}</code>${hotkey && ', which is not kept: give it again with every change, or empty the hotkey to go on without the tier'}.</p>
<div class="fields">
${field('hotkey', 'Hotkey, as SS58 address', { longest: 64, value: hotkey, autocomplete: 'off' })}
${field('hotkeySignature', 'Its signature, hexadecimal', { longest: 200, autocomplete: 'off' })}
</div>
</details>`
}

function durationField(name: string, label: string, value?: number): Html {
  return field(name, label, {
    ...{ type: 'number', least: 1, most: longestDuration, step: '1' },
    value: value === undefined ? '' : String(value),
  })
}

/**
 * @param proof How the owner shows that it is them.
 * @param send What the button that sends says.
 */
export function testPanel(proof: Html, send = 'Sign and send'): Html {
  return html`<section aria-labelledby="test-title" class="panel">
<h3 id="test-title">Connection test</h3>
<ol id="checks" class="check-list" aria-live="polite"></ol>
${proof}
<div id="actions"><p class="actions needs-script">
<button type="button" id="test">Test the connection</button>
<button type="submit" class="primary">${send}</button>
</p></div>
</section>`
}

export const walletsPart = html`<div id="wallets"><p class="hint">No wallet was found in this browser. The test works without one.</p></div>`
