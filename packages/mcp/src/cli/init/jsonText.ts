/** Changes one member of a JSON text, and leaves every other character as it is. */

type Member = { key: string; start: number; end: number }
type Found = { members: Member[]; end: number }

/**
 * Sets `text[path[0]][path[1]]…` to a value; makes the objects on the way where they are missing.
 *
 * @param text Valid JSON, whose root and whose members on the path are objects where they are.
 */
export function setMember(text: string, path: readonly string[], value: unknown): string {
  const layout = {
    unit: /^\s*\{[ \t]*\r?\n([ \t]+)"/.exec(text)?.[1] ?? '  ',
    line: text.includes('\r\n') ? '\r\n' : '\n',
  }
  return set(text, skipSpace(text, 0), path, value, { ...layout, depth: 1 })
}

type Layout = { unit: string; line: string; depth: number }

function set(text: string, start: number, path: readonly string[], value: unknown, layout: Layout): string {
  const [key = '', ...rest] = path
  const { members, end } = readObject(text, start)
  // Of a key that is there twice, the last one counts.
  const member = members.findLast((one) => one.key === key)
  const inner = { ...layout, depth: layout.depth + 1 }
  if (member && rest.length > 0) return set(text, member.start, rest, value, inner)
  if (member) return text.slice(0, member.start) + write(value, layout) + text.slice(member.end)
  const whole = rest.reduceRight((part, name) => ({ [name]: part }), value)
  const added = `${newLine(layout)}${JSON.stringify(key)}: ${write(whole, layout)}`
  const last = members.at(-1)
  if (last) return `${text.slice(0, last.end)},${added}${text.slice(last.end)}`
  const closing = newLine({ ...layout, depth: layout.depth - 1 })
  return `${text.slice(0, start)}{${added}${closing}}${text.slice(end)}`
}

function newLine({ line, unit, depth }: Layout): string {
  return line + unit.repeat(depth)
}

function write(value: unknown, layout: Layout): string {
  return JSON.stringify(value, undefined, layout.unit).replaceAll('\n', newLine(layout))
}

/** The members of the object that begins at `start`, each with where its value is. */
function readObject(text: string, start: number): Found {
  const members: Member[] = []
  let at = skipSpace(text, start + 1)
  while (text[at] !== '}') {
    const keyEnd = skipString(text, at)
    const key = JSON.parse(text.slice(at, keyEnd))
    const value = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = skipValue(text, value)
    members.push({ key, start: value, end })
    at = skipSpace(text, end)
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return { members, end: at + 1 }
}

function skipValue(text: string, start: number): number {
  if (text[start] === '"') return skipString(text, start)
  if (text[start] !== '{' && text[start] !== '[') return skip(text, start, /[^\s,\]}]+/y)
  let depth = 0
  for (let at = start; ; ) {
    if (text[at] === '"') {
      at = skipString(text, at)
      continue
    }
    if (text[at] === '{' || text[at] === '[') depth++
    if (text[at] === '}' || text[at] === ']') depth--
    at++
    if (depth === 0) return at
  }
}

function skipString(text: string, start: number): number {
  return skip(text, start, /"(?:[^"\\]|\\.)*"/y)
}

function skipSpace(text: string, start: number): number {
  return skip(text, start, /[ \t\r\n]*/y)
}

function skip(text: string, start: number, pattern: RegExp): number {
  pattern.lastIndex = start
  pattern.test(text)
  return pattern.lastIndex
}
