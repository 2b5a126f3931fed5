/** Latency as two lines, the median and what 95 of 100 stay below. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'
import type { Span } from './days.ts'
import { latency } from './time.ts'

const width = 600
const height = 140

/**
 * @param id Unique on the page.
 * @param label What a span is called: its day, its hour.
 */
export function latencyChart(
  id: string,
  title: string,
  spans: readonly Span[],
  label: (at: number) => string,
): Html {
  const known = spans.filter(({ medianMs }) => medianMs !== null)
  const top = niceTop(Math.max(1, ...known.map(({ medianMs, p95Ms }) => Math.max(medianMs ?? 0, p95Ms ?? 0))))
  const last = known.at(-1)
  const told = last
    ? `Latest: median ${latency(last.medianMs)}, 95 of 100 within ${latency(last.p95Ms)}.`
    : 'No answers were measured yet.'
  const x = (index: number) => (index / Math.max(1, spans.length - 1)) * width
  const y = (value: number) => height - (Math.min(value, top) / top) * height
  const lines = (pick: (span: Span) => number | null, kind: string) =>
    runs(spans, pick).map((points) =>
      points.length === 1
        ? points.map(
            ([index, value]) =>
              html`<path class="line line-${kind} line-dot" d="M${x(index).toFixed(1)} ${y(value).toFixed(1)}h0.01"/>`,
          )
        : html`<polyline class="line line-${kind}" points="${points.map(([index, value]) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(' ')}"/>`,
    )
  return html`<figure class="chart">
<figcaption>${title} <span class="chart-note">${told}</span></figcaption>
<div class="plot">
<p class="plot-scale" aria-hidden="true"><span>${latency(top)}</span><span>${latency(top / 2)}</span><span>0</span></p>
<svg class="latency" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-labelledby="${id}-title ${id}-desc">
<title id="${id}-title">${title}</title>
<desc id="${id}-desc">${told} The table below has each value.</desc>
${[0, 0.5, 1].map((part) => html`<line class="grid" x1="0" x2="${width}" y1="${part * height}" y2="${part * height}"/>`)}
${lines(({ p95Ms }) => p95Ms, 'p95')}
${lines(({ medianMs }) => medianMs, 'median')}
</svg>
<p class="chart-ends" aria-hidden="true"><span>${label(spans[0]?.at ?? 0)}</span><span>${label(spans.at(-1)?.at ?? 0)}</span></p>
</div>
<p class="legend"><span class="key key-median">median</span> <span class="key key-p95">95th percentile</span></p>
<details><summary>Each value as a table</summary>
<div class="scroll" role="region" aria-label="${title}" tabindex="0"><table>
<thead><tr><th scope="col">From (UTC)</th><th scope="col" class="number">Median</th><th scope="col" class="number">95th percentile</th></tr></thead>
<tbody>${[...known].reverse().map((span) => html`<tr><th scope="row">${label(span.at)}</th><td class="number">${latency(span.medianMs)}</td><td class="number">${latency(span.p95Ms)}</td></tr>`)}</tbody>
</table></div></details>
</figure>`
}

/** Points that follow each other without a gap. */
function runs(spans: readonly Span[], pick: (span: Span) => number | null): [number, number][][] {
  const all: [number, number][][] = []
  let isOpen = false
  for (const [index, span] of spans.entries()) {
    const value = pick(span)
    if (value !== null) {
      if (isOpen) all.at(-1)?.push([index, value])
      else all.push([[index, value]])
    }
    isOpen = value !== null
  }
  return all
}

/** 1, 2 or 5 times a power of ten, at or above a value. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power
}
