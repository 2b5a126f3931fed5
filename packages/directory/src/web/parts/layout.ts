/** The frame around each page. */
import { html } from 'hono/html'
import type { Html, Page } from '../Page.ts'
import type { Site } from '../Site.ts'
import { shown } from './shown.ts'

const places = [
  ['/', 'Providers'],
  ['/models', 'Models'],
  ['/skills', 'Skills'],
  ['/try', 'Try it'],
  ['/become-a-provider', 'Become a provider'],
] as const

const more = [
  ['/docs/api', 'API'],
  ['/docs/score', 'How scores are made'],
  ['/skill.md', 'For agents'],
  ['/llms.txt', 'llms.txt'],
  ['/desk', 'Operator’s desk'],
] as const

/** A whole document. Scripts that were not built are left out: the page then works as without JavaScript. */
export function layout(site: Site, page: Page): Html {
  const { title, path, description, body, scripts = [], alternate, indexed = true } = page
  const here = path.split(/[?#]/)[0] ?? '/'
  const files = scripts.map((name) => site.asset(`${name}.js`)).filter((file) => file !== undefined)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${shown(title)} · DRAIN market</title>
${description && html`<meta name="description" content="${shown(description)}">`}
${!indexed && html`<meta name="robots" content="noindex">`}
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="${site.asset('style.css') ?? '/assets/style.css'}">
<link rel="icon" type="image/svg+xml" href="/favicon.svg">
<link rel="canonical" href="${site.origin}${here}">
${alternate && html`<link rel="alternate" type="application/json" href="${alternate}">`}
<link rel="help" type="text/plain" href="/llms.txt">
${files.map((file) => html`<script type="module" src="${file}"></script>`)}
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top">
<div class="wide">
<a class="brand" href="/">${mark}<span>DRAIN <span class="brand-kind">market</span></span></a>
<nav aria-label="Main"><ul>
${places.map(([to, name]) => html`<li><a href="${to}"${isWithin(here, to) && html` aria-current="${here === to ? 'page' : 'true'}"`}>${name}</a></li>`)}
</ul></nav>
</div>
</header>
<main id="content" class="wide" tabindex="-1">
${body}
</main>
<footer class="bottom">
<div class="wide">
<p>Services that are paid by the request, in USDC. No account, no API key.</p>
<nav aria-label="More"><ul>
${more.map(([to, name]) => html`<li><a href="${to}">${name}</a></li>`)}
</ul></nav>
</div>
</footer>
</body>
</html>
`
}

/** A deposit that gets less with each request. */
const mark = html`<svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false"><rect x="1.5" y="4" width="21" height="16" rx="3.5" fill="none" stroke="currentColor" stroke-width="2"/><rect x="5.5" y="8" width="13" height="2" rx="1"/><rect x="5.5" y="11.5" width="8.5" height="2" rx="1"/><rect x="5.5" y="15" width="4" height="2" rx="1"/></svg>`

function isWithin(here: string, place: string): boolean {
  if (place === '/') return here === '/' || here.startsWith('/providers')
  return here === place || here.startsWith(`${place}/`)
}
