/** Strangers' text on its way to a page. That it is escaped is the work of `html`; here it loses what can't be seen. */
import { html } from 'hono/html'
import { plainLine, plainText } from '../../probe/plainText.ts'
import type { Html } from '../Page.ts'

/** One line, without signs that hide or turn other text around. */
export function shown(text: string, longest = 300): string {
  return plainLine(text, longest)
}

/** The same, whose direction of writing doesn't touch what stands beside it. */
export function name(text: string, longest = 120): Html {
  return html`<bdi>${shown(text, longest)}</bdi>`
}

/** Text of several lines. */
export function paragraphs(text: string, longest = 5_000): Html {
  const parts = plainText(text.slice(0, longest)).split(/\n\s*\n/)
  return html`${parts.map((part) => part.trim() && html`<p dir="auto">${part.trim()}</p>`)}`
}

/** As it is, for `<pre>`. */
export function verbatim(text: string, longest: number): string {
  const plain = plainText(text.slice(0, longest))
  return text.length > longest ? `${plain}\n…` : plain
}

/** A stranger's link, if it is one of http or https; its text otherwise. It says nothing for whoever is linked. */
export function outsideLink(address: string, text = address): Html {
  if (!isWeb(address)) return html`<bdi>${shown(text)}</bdi>`
  return html`<a href="${new URL(address).href}" rel="nofollow noopener noreferrer ugc"><bdi>${shown(text, 100)}</bdi></a>`
}

export function isWeb(address: string): boolean {
  return URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)
}
