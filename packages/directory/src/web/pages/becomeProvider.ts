/**
 * How to be listed, and the form for it. The script `register` signs and sends: `#register` with a field for each of the API's, `#test` a
 * button that submits, `#checks` for the checks as they end, `#wallets` for the wallets' buttons.
 */
import { html } from 'hono/html'
import { categories } from '../../Provider.ts'
import type { Settings } from '../../settings.ts'
import type { Html, Page } from '../Page.ts'
import { codeBlock } from '../parts/code.ts'
import { checkbox, field, select } from '../parts/fields.ts'

export function becomeProviderPage({ origin, review }: Pick<Settings, 'origin' | 'review'>): Page {
  return {
    title: 'Become a provider',
    path: '/become-a-provider',
    description: 'List an API that is paid by the request: what is tested, the form, and the API call.',
    scripts: ['register', 'copy'],
    body: html`<h1>Become a provider</h1>
<p class="intro">List an API that takes DRAIN vouchers or MPP payments. Your wallet signs the listing: there is no account and no password, and
nobody else can change it.</p>
<section aria-labelledby="how">
<h2 id="how">How it goes</h2>
<ol class="steps">
<li><strong>Serve it.</strong> Any server with the <a href="https://www.npmjs.com/package/@drain-protocol/sdk" rel="noopener">DRAIN SDK’s</a> paywall passes; so does everything else that answers as described below.</li>
<li><strong>Test it.</strong> The connection test runs before anything is stored, as often as you like.</li>
<li><strong>Sign and send.</strong> ${review ? 'An operator looks at it, usually within a day; its page shows how that stands.' : 'What passes the test is listed at once.'}</li>
<li><strong>Stay online.</strong> It is asked every few minutes. Status, latency and score are public, and its page says what it lacks.</li>
</ol>
</section>
<section aria-labelledby="tested">
<h2 id="tested">What is tested</h2>
<ul>
<li>The server answers within 10 seconds, over https, at a public address.</li>
<li><code>GET /v1/pricing</code> is valid, names the address that signs, and at least one model.</li>
<li><code>GET /v1/docs</code> has 100 characters or more: an agent has nothing else to learn from.</li>
<li>A request without a voucher is answered 402, with the same provider, chain and contract.</li>
<li>Of MPP services: a 402 with a <code>WWW-Authenticate: Payment</code> challenge.</li>
</ul>
<p>Agents see complete listings only: with a description, a logo, a website, a contact address and a link to the docs.</p>
</section>
<section aria-labelledby="form-title">
<h2 id="form-title">The listing</h2>
${form()}
</section>
<section aria-labelledby="api">
<h2 id="api">Without this form</h2>
<p>The form does nothing but this. <a href="/docs/api">The API’s page</a> has every field, and <a href="/api/drain/signing">/api/drain/signing</a> what to sign.</p>
${codeBlock('Test a connection: one line of JSON for each check', testCall(origin))}
${codeBlock('Register', registerCall(origin))}
</section>`,
  }
}

/** Listings without them are accepted, and agents aren't shown them. */
const agentsNeedIt = { mark: 'needed to be listed' } as const

function form(): Html {
  return html`<noscript><p class="notice">Signing takes JavaScript and a wallet in this browser. Without them use the API, as shown below.</p></noscript>
<form id="register" class="form" method="dialog">
<fieldset>
<legend>The service</legend>
<div class="fields">
${select(
  'protocol',
  'How it is paid',
  [
    ['drain', 'DRAIN channels'],
    ['mpp', 'MPP, by the request'],
  ],
  'drain',
)}
${field('apiUrl', 'API URL', { type: 'url', required: true, longest: 300, placeholder: 'https://api.example.com', hint: 'Requests go below it: /v1/pricing, /v1/docs, /v1/chat/completions.' })}
${field('providerAddress', 'Provider address', { longest: 42, mark: 'of DRAIN channels', placeholder: '0x…', hint: 'Who is paid. The same wallet signs; MPP services may do without.', autocomplete: 'off' })}
</div>
<div class="fields" data-only="mpp">
${field('mppEndpoint', 'What is paid', { longest: 300, placeholder: '/api/search', hint: 'A path below the API URL, or a URL of the same host. Of MPP services only.' })}
${select('mppType', 'Kind', [
  ['', 'not said'],
  ['llm', 'llm: chat completions'],
  ['rest', 'rest: any other request'],
])}
</div>
</fieldset>
<fieldset>
<legend>What people and agents read</legend>
<div class="fields">
${field('name', 'Name', { required: true, longest: 80 })}
${field('contactEmail', 'Contact e-mail', { ...agentsNeedIt, type: 'email', longest: 200, hint: 'Shown on the provider’s page.', autocomplete: 'email' })}
${field('description', 'Description', { ...agentsNeedIt, rows: 4, longest: 1_000, hint: 'What it does, for whom, and what is special about it. At most 1,000 characters.' })}
${field('website', 'Website', { ...agentsNeedIt, type: 'url', longest: 500 })}
${field('logoUrl', 'Logo URL', { ...agentsNeedIt, type: 'url', longest: 500 })}
${field('docsUrl', 'Docs URL', { ...agentsNeedIt, type: 'url', longest: 500, hint: 'For people; agents read /v1/docs.' })}
${select(
  'category',
  'Category',
  categories.map((one) => [one, one] as const),
  'llm',
)}
</div>
<fieldset class="inner" aria-describedby="more-hint">
<legend>More categories</legend>
<p class="hint" id="more-hint">At most three.</p>
<div class="checks">${categories.map((one) => checkbox('moreCategories', one, { value: one, id: `more-${one}` }))}</div>
</fieldset>
</fieldset>
<fieldset>
<legend>Terms</legend>
<div class="fields">
${field('minDuration', 'Shortest channel, in seconds', { type: 'number', least: 1, most: 4_294_967_295, step: '1' })}
${field('maxDuration', 'Longest channel, in seconds', { type: 'number', least: 1, most: 4_294_967_295, step: '1' })}
</div>
${checkbox('streaming', 'Answers are streamed')}
</fieldset>
<details>
<summary>A Bittensor miner</summary>
<p>The tier <code>bittensor</code> takes the miner’s sr25519 signature of <code>handshake58:{hotkey}:{apiUrl}</code>.</p>
<div class="fields">
${field('hotkey', 'Hotkey, as SS58 address', { longest: 64, autocomplete: 'off' })}
${field('hotkeySignature', 'Its signature, hexadecimal', { longest: 200, autocomplete: 'off' })}
</div>
</details>
<section aria-labelledby="test-title" class="panel">
<h3 id="test-title">Connection test</h3>
<ol id="checks" class="check-list" aria-live="polite"></ol>
<div id="wallets"><p class="hint">No wallet was found in this browser. The test works without one.</p></div>
<p class="actions needs-script">
<button type="button" id="test">Test the connection</button>
<button type="submit" class="primary">Sign and send</button>
</p>
</section>
</form>`
}

function testCall(origin: string): string {
  return `curl -N '${origin}/api/directory/test' \\
  -H 'Content-Type: application/json' \\
  -d '{"apiUrl": "https://api.example.com", "providerAddress": "0x…"}'`
}

function registerCall(origin: string): string {
  return `curl '${origin}/api/directory/providers' \\
  -H 'Content-Type: application/json' \\
  -d '{
    "name": "Example", "apiUrl": "https://api.example.com", "providerAddress": "0x…",
    "description": "…", "contactEmail": "…", "website": "https://…", "logoUrl": "https://…", "docsUrl": "https://…",
    "category": "llm", "moreCategories": ["code"], "streaming": true,
    "chainId": 137, "issuedAt": 1790000000000, "signature": "0x…"
  }'`
}
