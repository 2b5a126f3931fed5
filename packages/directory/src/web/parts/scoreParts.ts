/** What a score is made of. */
import { Usdc } from '@drain/core'
import { html } from 'hono/html'
import type { ProviderRecord } from '../../Provider.ts'
import type { Html } from '../Page.ts'
import { scoreMark } from './status.ts'

const parts = [
  ['reachability', 'Reachability', 'how often it was reached'],
  ['correctness', 'Correctness', 'how often it then answered as it must'],
  ['latency', 'Latency', 'how fast'],
  ['feedback', 'Feedback', 'what consumers that paid it say'],
] as const

export function scoreParts({ score, scoreParts: made }: ProviderRecord): Html {
  return html`<section aria-labelledby="score">
<h2 id="score">Score</h2>
<p class="score-all">${scoreMark(score)} of 1. <a href="/docs/score">How scores are made</a></p>
<dl class="facts">
${parts.map(([part, title, meaning]) => html`<div><dt>${title}</dt><dd>${scoreMark(made[part])}<span class="below">${meaning}</span></dd></div>`)}
<div><dt>Payments behind praise</dt><dd class="figure">${amount(made.praised)}</dd></div>
<div><dt>Behind complaints</dt><dd class="figure">${amount(made.blamed)}</dd></div>
</dl>
</section>`
}

function amount(units: string): string {
  return /^\d{1,30}$/.test(units) ? `${Usdc.format(BigInt(units))} USDC` : 'not known'
}
