/** Pages made of text: how scores are made, and the API for people. */
import { html } from 'hono/html'
import type { Html, Page } from '../Page.ts'
import type { OpenApi, OpenApiOperation } from '../PageData.ts'
import { markdown } from '../parts/markdown.ts'
import { shown } from '../parts/shown.ts'

export function scorePage(text: string): Page {
  const hasTitle = /^#\s/m.test(text)
  return {
    title: 'How scores are made',
    path: '/docs/score',
    description: 'The formula behind the score of each provider, from 0 to 1.',
    body: html`<div class="prose">${!hasTitle && html`<h1>How scores are made</h1>`}${markdown(text)}</div>`,
  }
}

type Listed = { method: string; path: string; operation: OpenApiOperation }

export function apiPage({ info, paths }: OpenApi): Page {
  const groups = new Map<string, Listed[]>()
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'Other'
      groups.set(tag, [...(groups.get(tag) ?? []), { method, path, operation }])
    }
  }
  return {
    title: 'API',
    path: '/docs/api',
    description: 'Every route of this directory’s API.',
    alternate: '/api/openapi.json',
    body: html`<h1>${shown(info.title)}</h1>
${info.description && html`<p class="intro">${info.description}</p>`}
<p>For machines: <a href="/api/openapi.json">/api/openapi.json</a> (OpenAPI), made of the schemas that check each request. Refusals are <code>application/problem+json</code>: what is wrong, and what to do.</p>
<nav aria-label="Groups"><p class="tags">${[...groups.keys()].map((tag) => html`<a class="tag" href="#${slug(tag)}">${tag}</a>`)}</p></nav>
${[...groups].map(
  ([tag, listed]) =>
    html`<section aria-labelledby="${slug(tag)}"><h2 id="${slug(tag)}">${tag}</h2>${listed.map(route)}</section>`,
)}`,
  }
}

function route({ method, path, operation }: Listed): Html {
  const { summary, description, parameters = [], requestBody, responses = {} } = operation
  const schema = Object.values(requestBody?.content ?? {})[0]?.schema
  return html`<article class="route">
<h3><code><span class="method">${method.toUpperCase()}</span> ${path}</code></h3>
${summary && html`<p>${summary}</p>`}
${description && html`<p>${description}</p>`}
${
  parameters.length > 0 &&
  html`<div class="scroll" role="region" aria-label="Parameters of ${method} ${path}" tabindex="0"><table>
<thead><tr><th scope="col">Parameter</th><th scope="col">In</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
<tbody>${parameters.map(({ name, in: place, required, description, schema }) => html`<tr><th scope="row"><code>${name}</code>${required && html` <span class="optional">required</span>`}</th><td>${place}</td><td>${typeOf(schema)}</td><td class="text">${description ?? ''}</td></tr>`)}</tbody>
</table></div>`
}
${schema && html`<details><summary>Body (JSON Schema)</summary><pre tabindex="0" role="region" aria-label="Body of ${method} ${path}"><code>${JSON.stringify(schema, undefined, 2)}</code></pre></details>`}
<p class="below">${Object.entries(responses).map(([status, { description }], index) => html`${index > 0 && ' · '}<span class="figure">${status}</span> ${description ?? ''}`)}</p>
</article>`
}

function typeOf(schema: object | undefined): string {
  const { type, enum: values } = (schema ?? {}) as { type?: unknown; enum?: unknown }
  if (Array.isArray(values)) return values.map(String).join(', ')
  return typeof type === 'string' ? type : ''
}

const slug = (tag: string) => `group-${tag.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`
