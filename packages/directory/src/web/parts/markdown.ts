/** The little of Markdown that this directory's own texts use: headings, paragraphs, lists, tables, code and emphasis. */
import { html } from 'hono/html'
import type { Html } from '../Page.ts'

/** Nothing in the text becomes HTML by itself: what isn't understood is shown as it is. */
export function markdown(text: string): Html {
  const lines = text.replace(/\r\n?/g, '\n').split('\n')
  const blocks: Html[] = []
  for (let at = 0; at < lines.length; ) {
    const [block, next] = readBlock(lines, at)
    if (block) blocks.push(block)
    at = next
  }
  return html`${blocks}`
}

function readBlock(lines: readonly string[], at: number): [Html | undefined, number] {
  const line = lines[at] ?? ''
  if (line.trim() === '') return [undefined, at + 1]
  if (line.startsWith('```')) {
    const end = endOf(lines, at + 1, (one) => !one.startsWith('```'))
    const code = lines.slice(at + 1, end).join('\n')
    return [
      html`<pre tabindex="0" role="region" aria-label="Code: ${lines[at + 1] ?? ''}"><code>${code}</code></pre>`,
      end + 1,
    ]
  }
  const [, marks = '', title = ''] = /^(#{1,4})\s+(.+)$/.exec(line) ?? []
  if (marks) return [heading(marks.length, title), at + 1]
  if (/^\|.*\|\s*$/.test(line) && /^\|[\s:|-]+\|\s*$/.test(lines[at + 1] ?? '')) {
    const end = endOf(lines, at, (one) => one.trim().startsWith('|'))
    return [table(lines.slice(at, end)), end]
  }
  const bullet = /^\s*(?:[-*]|\d+\.)\s+/
  if (bullet.test(line)) {
    const end = endOf(lines, at, (one) => one.trim() !== '')
    const items: string[] = []
    for (const one of lines.slice(at, end)) {
      if (bullet.test(one)) items.push(one.replace(bullet, ''))
      else items.push(`${items.pop()} ${one.trim()}`)
    }
    const content = items.map((item) => html`<li>${inline(item)}</li>`)
    return [/^\s*\d/.test(line) ? html`<ol>${content}</ol>` : html`<ul>${content}</ul>`, end]
  }
  const end = endOf(lines, at + 1, (one) => one.trim() !== '' && !/^(?:#{1,4}\s|```|\|)/.test(one))
  return [html`<p>${inline(lines.slice(at, end).join(' '))}</p>`, end]
}

function heading(level: number, title: string): Html {
  const text = inline(title)
  if (level === 1) return html`<h1>${text}</h1>`
  if (level === 2) return html`<h2>${text}</h2>`
  return level === 3 ? html`<h3>${text}</h3>` : html`<h4>${text}</h4>`
}

function table(lines: readonly string[]): Html {
  const [head = [], , ...rows] = lines.map((line) =>
    line
      .trim()
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
  return html`<div class="scroll" role="region" aria-label="Table: ${head.join(', ')}" tabindex="0"><table>
<thead><tr>${head.map((cell) => html`<th scope="col">${inline(cell)}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`)}</tbody>
</table></div>`
}

const spans = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^()\s]+)\)/g

function inline(text: string): Html {
  const parts: (Html | string)[] = []
  let from = 0
  for (const match of text.matchAll(spans)) {
    const [all, code, strong, emphasis, label, target] = match
    parts.push(text.slice(from, match.index))
    from = match.index + all.length
    if (code) parts.push(html`<code>${code}</code>`)
    else if (strong) parts.push(html`<strong>${strong}</strong>`)
    else if (emphasis) parts.push(html`<em>${emphasis}</em>`)
    else if (target && /^(?:\/(?!\/)|https:\/\/|#)/.test(target))
      parts.push(html`<a href="${target}">${label}</a>`)
    else parts.push(all)
  }
  return html`${[...parts, text.slice(from)]}`
}

function endOf(lines: readonly string[], from: number, goesOn: (line: string) => boolean): number {
  const end = lines.findIndex((line, index) => index >= from && !goesOn(line))
  return end < 0 ? lines.length : end
}
