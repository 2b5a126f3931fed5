/** How to be listed, and the form for it, `#register`, which the script `register` signs and sends. */
import { html } from 'hono/html'
import type { Settings } from '../../settings.ts'
import type { Html, Page } from '../Page.ts'
import { codeBlock } from '../parts/code.ts'
import { field, select } from '../parts/fields.ts'
import { apiUrlField, mppFields, profileFields, testPanel, walletsPart } from '../parts/listingForm.ts'

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
<li><strong>Stay online.</strong> It is asked every few minutes. Status, latency and score are public. Its page says what it lacks, and leads to where you change or withdraw it.</li>
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
${apiUrlField()}
${field('providerAddress', 'Provider address', { longest: 42, mark: 'of DRAIN channels', placeholder: '0x…', hint: 'Who is paid. The same wallet signs; MPP services may do without.', autocomplete: 'off' })}
</div>
${mppFields()}
</fieldset>
${profileFields()}
${testPanel(walletsPart)}
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
