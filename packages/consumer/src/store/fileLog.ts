import { createHash } from 'node:crypto'
import type { Write } from './ClientStore.ts'
import { createEntries, type Entries } from './entries.ts'

/*
 * A store's file is a log. Its first line tells what it is, the revision it begins at, and how many entries follow, one a
 * line; then comes a line for each step. Each line begins with a hash of itself and the line before, so that none can be
 * changed, lost or moved unnoticed. Only at the end a line may be cut off: nobody was told that it was written.
 */

const format = 'drain client store'
const version = 1

/** Where a log ends, for what is to follow. */
export type LogEnd = { bytes: number; hash: string }

type Line = { text: string; hash: string }

function toLine(previous: string, content: unknown): Line {
  const json = JSON.stringify(content)
  const hash = hashOf(previous, json)
  return { text: `${hash} ${json}\n`, hash }
}

/** The line of one step. */
export function stepLine(previous: string, revision: number, writes: readonly Write[]): Line {
  return toLine(previous, [revision, writes.map(({ key, text }) => [key, text])])
}

/** A log of what there is. What was overwritten is left out, and what was removed: whoever opens it asks from 0. */
export function writeLog(entries: Entries): Line {
  const present = entries.present()
  let line = toLine('', { format, version, revision: entries.revision(), entries: present.length })
  const texts = [line.text]
  for (const { key, text, revision } of present) {
    line = stepLine(line.hash, revision, [{ key, text }])
    texts.push(line.text)
  }
  return { text: texts.join(''), hash: line.hash }
}

/** @throws {Error} What is wrong, and in which line. */
export function readLog(log: Buffer): { entries: Entries; end: LogEnd } {
  if (!log.subarray(0, 100).includes(format)) throw new Error('it is empty, or belongs to another program')
  let [bytes, line, hash] = [0, 0, '']

  function next(): string | undefined {
    const newline = log.indexOf('\n', bytes)
    if (newline < 0) return undefined
    line += 1
    const content = log.subarray(bytes + hashLength + 1, newline)
    hash = hashOf(hash, content)
    if (log.toString('latin1', bytes, bytes + hashLength + 1) !== `${hash} `)
      throw new Error(`line ${line} is damaged`)
    bytes = newline + 1
    return content.toString()
  }

  const header = JSON.parse(next() ?? cutOff())
  if (header.version !== version) throw new Error(`it has version ${header.version}, not ${version}`)

  const entries = createEntries(header.revision)
  for (let json = next(); json !== undefined; json = next()) {
    const [revision, writes]: [number, [key: string, text: string | null][]] = JSON.parse(json)
    entries.put(
      revision,
      writes.map(([key, text]) => ({ key, text })),
    )
  }
  if (line <= header.entries) cutOff()
  return { entries, end: { bytes, hash } }
}

function cutOff(): never {
  throw new Error('its end is cut off')
}

const hashLength = 16

function hashOf(previous: string, json: string | Buffer): string {
  return createHash('sha256').update(previous).update(json).digest('base64url').slice(0, hashLength)
}
