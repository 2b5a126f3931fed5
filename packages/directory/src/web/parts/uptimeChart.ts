/** Uptime of 30 days: a bar for each, as high as what was answered correctly. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'
import type { HourData } from '../PageData.ts'
import { lastDays, type Span } from './days.ts'
import { share } from './status.ts'
import { dayOf } from './time.ts'

const count = 30
const height = 48

export function uptimeChart(hours: readonly HourData[], now: number): Html {
  const days = lastDays(hours, now, count)
  const probed = days.filter(({ probes }) => probes > 0)
  const all = probed.reduce((sum, { probes }) => sum + probes, 0)
  const correct = probed.reduce((sum, day) => sum + day.correct, 0)
  const told =
    all === 0 ? 'No probes yet.' : `${share(correct / all)} of ${all} probes were answered correctly.`
  return html`<figure class="chart">
<figcaption>Uptime, last 30 days <span class="chart-note">${told}</span></figcaption>
<svg class="uptime" viewBox="0 0 ${count * 8 - 2} ${height}" preserveAspectRatio="none" role="img" aria-labelledby="uptime-title uptime-desc">
<title id="uptime-title">Uptime per day, last 30 days</title>
<desc id="uptime-desc">${told} The table below has each day.</desc>
${days.map((day, index) => bar(day, index * 8))}
</svg>
<p class="chart-ends" aria-hidden="true"><span>${dayOf(days[0]?.at ?? now)}</span><span>today</span></p>
<details><summary>Each day as a table</summary>
<div class="scroll" role="region" aria-label="Uptime per day" tabindex="0"><table>
<thead><tr><th scope="col">Day (UTC)</th><th scope="col" class="number">Probes</th><th scope="col" class="number">Correct</th><th scope="col" class="number">Uptime</th></tr></thead>
<tbody>${[...probed].reverse().map((day) => html`<tr><th scope="row">${dayOf(day.at)}</th><td class="number">${day.probes}</td><td class="number">${day.correct}</td><td class="number">${share(day.correct / day.probes)}</td></tr>`)}</tbody>
</table></div></details>
</figure>`
}

function bar({ at, probes, correct }: Span, x: number): Html {
  if (probes === 0) {
    return html`<g><title>${dayOf(at)}: no probes</title><rect class="bar-none" x="${x}" y="${height - 2}" width="6" height="2"/></g>`
  }
  const part = correct / probes
  const high = Math.max(2, Math.round(part * height))
  const kind = part >= 0.99 ? 'good' : part >= 0.9 ? 'fair' : 'bad'
  return html`<g><title>${dayOf(at)}: ${share(part)}</title><rect class="bar-all" x="${x}" y="0" width="6" height="${height}"/><rect class="bar-${kind}" x="${x}" y="${height - high}" width="6" height="${high}"/></g>`
}
