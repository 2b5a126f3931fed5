/** The way to the next page of a list, with what was asked for in the address. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'

/** @param query What the page was asked with; its `cursor` is replaced. */
export function pager(path: string, query: URLSearchParams, next: string | undefined): Html {
  const first = new URLSearchParams(query)
  first.delete('cursor')
  const forward = new URLSearchParams(first)
  if (next !== undefined) forward.set('cursor', next)
  if (next === undefined && !query.has('cursor')) return html``
  return html`<nav class="pager" aria-label="Pages">
${query.has('cursor') ? html`<a href="${addressOf(path, first)}">Back to the first</a>` : html`<span></span>`}
${next !== undefined && html`<a rel="next" href="${addressOf(path, forward)}">Next page</a>`}
</nav>`
}

export function addressOf(path: string, query: URLSearchParams): string {
  const text = query.toString()
  return text === '' ? path : `${path}?${text}`
}
