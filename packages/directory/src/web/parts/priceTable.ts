/** What a provider asks for each of its models. */
import { html } from 'hono/html'
import type { ProviderRecord } from '../../Provider.ts'
import type { Html } from '../Page.ts'
import { isFlat, usdc } from './price.ts'
import { name } from './shown.ts'

export function priceTable({ offer, protocol }: ProviderRecord): Html {
  const { models } = offer
  const none =
    protocol === 'mpp'
      ? 'Each request is told its price by the 402 that it is answered with.'
      : 'No prices could be read.'
  return html`<section aria-labelledby="prices">
<h2 id="prices">Prices</h2>
${
  models.length === 0
    ? html`<p class="empty">${none}</p>`
    : html`<div class="scroll${models.length > 15 && ' scroll-tall'}" role="region" aria-label="Table of prices" tabindex="0"><table>
<thead><tr><th scope="col">Model</th><th scope="col" class="number">In, USDC<br>per 1k tokens</th><th scope="col" class="number">Out, USDC<br>per 1k tokens</th><th scope="col">Elsewhere</th></tr></thead>
<tbody>${models.map(
        (model) =>
          html`<tr><th scope="row"><span class="model">${name(model.id)}</span>${model.name !== model.id && html`<span class="below">${name(model.name)}</span>`}</th><td class="number">${usdc(model.inputPer1kTokens)}</td><td class="number">${isFlat(model) ? 'flat' : usdc(model.outputPer1kTokens)}</td><td><a href="/models/${encodeURIComponent(model.id)}">compare<span class="unseen"> ${name(model.id)}</span></a></td></tr>`,
      )}</tbody>
</table></div>
${models.some(isFlat) && html`<p class="hint">A price with “flat” is one price, however long the answer is: often per request; the docs say which.</p>`}`
}
</section>`
}
