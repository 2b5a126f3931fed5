/** How a provider is paid: by an agent, by a program, by hand. */
import { html } from 'hono/html'
import type { ProviderRecord } from '../../Provider.ts'
import type { Html } from '../Page.ts'
import { codeBlock } from './code.ts'
import { curlCode, mcpSettings, mcpSteps, type PaySettings, sdkCode } from './payCode.ts'

export function payParts(record: ProviderRecord, settings: PaySettings): Html {
  const { id, protocol } = record
  return html`<section aria-labelledby="pay">
<h2 id="pay">How to pay it</h2>
${protocol === 'drain' && html`<p><a class="button primary" href="/try?provider=${encodeURIComponent(id)}">Try it from your wallet</a></p>`}
<div class="ways">
<section aria-labelledby="pay-mcp">
<h3 id="pay-mcp">An agent, with drain-mcp</h3>
<p>Add the server to your MCP client once, then ask for the provider by its id. <a href="/skill.md">More for agents</a></p>
${codeBlock('Settings of an MCP client', mcpSettings(record, settings))}
${codeBlock('The calls', mcpSteps(record))}
</section>
<section aria-labelledby="pay-sdk">
<h3 id="pay-sdk">A program, with the SDK</h3>
<p><code>client.fetch</code> is a <code>fetch</code>: it reads the 402, pays within your limits, and keeps count.</p>
${codeBlock('TypeScript', sdkCode(record, settings))}
</section>
<section aria-labelledby="pay-curl">
<h3 id="pay-curl">By hand, with curl</h3>
<p>Looking costs nothing. What is paid needs a voucher, which <code>npx drain</code> signs.</p>
${codeBlock('Shell', curlCode(record))}
</section>
</div>
</section>`
}
