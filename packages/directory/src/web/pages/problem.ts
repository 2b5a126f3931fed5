/** Pages for what can't be shown. */
import { html } from 'hono/html'
import type { Problem } from '../../problem.ts'
import type { Page } from '../Page.ts'
import { shown } from '../parts/shown.ts'

export function notFoundPage(path: string, what = 'page'): Page {
  return {
    ...{ title: 'Not found', path, status: 404, indexed: false },
    body: html`<h1>There is no such ${what}</h1>
<p class="intro">The address may be mistyped, or what was there has been withdrawn.</p>
<p><a href="/">All providers</a> · <a href="/models">Prices by model</a> · <a href="/skills">Skills</a></p>`,
  }
}

export function problemPage(path: string, { status, message, action }: Problem): Page {
  return {
    ...{ title: 'That did not work', path, status, indexed: false, isPrivate: true },
    body: html`<h1>That did not work</h1>
<p class="intro">${shown(message, 400)}</p>
${action && html`<p>${shown(action, 400)}</p>`}`,
  }
}

export function failedPage(path: string): Page {
  return {
    ...{ title: 'Something failed', path, status: 500, indexed: false, isPrivate: true },
    body: html`<h1>Something failed here</h1>
<p class="intro">It is not your doing, and it was written to the log. Try again in a minute; tell the operator if it stays so.</p>`,
  }
}
