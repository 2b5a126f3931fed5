/** Code to copy, and how strangers' text gets into it without becoming code. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'
import { shown } from './shown.ts'

/** A block with a label; a script puts a button beside it that copies. */
export function codeBlock(label: string, code: string): Html {
  return html`<div class="code">
<p class="code-label">${label}</p>
<pre data-copy tabindex="0" role="region" aria-label="${label}"><code>${code}</code></pre>
</div>`
}

/** One word of a POSIX shell, whatever is in it. */
export function shellWord(text: string): string {
  return `'${shown(text, 4_000).replaceAll("'", `'\\''`)}'`
}

/** A string of JavaScript or JSON, whatever is in it. */
export function scriptString(text: string): string {
  return JSON.stringify(shown(text, 2_000))
}
