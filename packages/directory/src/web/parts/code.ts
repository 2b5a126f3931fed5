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

const hidden = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const escaped = (signs: string) =>
  signs.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** JSON over several lines as one word of a POSIX shell: what can't be seen is written as an escape, and nothing is lost. */
export function jsonWord(value: object): string {
  const text = JSON.stringify(value, undefined, 2).replace(hidden, escaped)
  return `'${text.replaceAll("'", '\\u0027')}'`
}

/** A string of JavaScript or JSON, whatever is in it. */
export function scriptString(text: string): string {
  return JSON.stringify(shown(text, 2_000))
}
