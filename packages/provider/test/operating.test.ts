/** `docs/operating.md` says what there is: its commands are understood, and what it names exists. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, describe, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const operating = read('../../../docs/operating.md')
const source = (path: string) => read(`../src/${path}`)

const folder = mkdtempSync(join(tmpdir(), 'drain-operating-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** All of `pattern`'s first groups, each once. */
function all(text: string, pattern: RegExp): string[] {
  return [...new Set(Array.from(text.matchAll(pattern), ([, found]) => found ?? ''))].sort()
}

/** The body of a block of code or of a section, from a line to the next that ends it. */
function between(text: string, from: string, to: string): string {
  const [, rest] = text.split(from)
  if (rest === undefined) throw new Error(`There is no "${from}".`)
  return rest.split(to)[0] ?? ''
}

const commands = operating
  .split('\n')
  .filter((line) => /^ *(?:ExecStart=.*|- `)?drain-provider [a-z-]+ --/.test(line))
  .map((line) => line.replace(/^.*?drain-provider /, '').replace(/(?:`| [|>]).*$/, ''))

test.each(commands)('drain-provider %s', async (line) => {
  const ledger = join(folder, 'missing.db')
  const words = line.split(/\s+/)
  const args = words.map((word, index) => (words[index - 1] === '--ledger' ? ledger : word))
  let said = ''
  const stream = new Writable({
    write(chunk, _, done) {
      said += chunk
      done()
    },
  })
  // What is not understood ends with 2 before the ledger is looked for.
  expect([await main(args, { stdout: stream, stderr: stream }), said]).toEqual([
    1,
    expect.stringContaining(ledger),
  ])
})

test('there are commands of each kind', () => {
  expect([...new Set(commands.map((line) => line.split(' ')[0]))].sort()).toEqual([
    'backup',
    'clear-alarm',
    'export',
    'settle',
    'status',
  ])
})

describe('what it names exists:', () => {
  const sources = readdirSync(new URL('../src', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map(source)
    .join('\n')

  test.each(all(operating, /\b((?:DRAIN_[A-Z_]*|LOG_)[A-Z]+)\b/g))('%s', (variable) => {
    expect(sources).toContain(variable)
  })

  test.each(all(operating, /`(--[a-z-]+)/g))('%s', (option) => {
    expect(source('cli/main.ts')).toContain(option)
  })

  const rounds = all(operating, /`settle\.([a-zA-Z]+)`/g)
  const opens = all(
    between(operating, '## When an open counts', '## What is claimed'),
    /^\| `([a-zA-Z]+)` \|/gm,
  )
  test.each([...rounds, ...opens, 'minPayout', 'maxGasPrice', 'adminToken', 'publicUrl', 'graceMs'])(
    'the setting %s',
    (name) => {
      expect(operating).toContain(name)
      const files = ['http/PaywallConfig.ts', 'settle/rounds.ts'].map(source).join('\n')
      expect(files).toMatch(new RegExp(`^  ${name}\\?:`, 'm'))
    },
  )

  test('the routes', () => {
    const files = ['http/admin.ts', 'http/endpoints.ts'].map(source).join('\n')
    for (const route of all(operating, /\b((?:GET|POST) \/[a-z0-9/-]+)/g))
      expect(files).toContain(`'${route}'`)
  })
})

describe('all is told of', () => {
  test('the reasons of /health', () => {
    const table = between(operating, '### `GET /health`', '### Alarms')
    const union = between(source('observe/Health.ts'), 'export type HealthReason =', 'export type')
    const problems = between(source('observe/ChainCheck.ts'), 'export type ChainProblem =', '\n')
    expect(all(table, /^\| `([a-z_]+)` \|/gm)).toEqual(all(`${union} ${problems}`, /'([a-z_]+)'/g))
  })

  test('the alarms', () => {
    const table = between(operating, '### Alarms', '### Metrics')
    const union = between(source('ledger/alarms.ts'), 'export type AlarmCode =', 'export type')
    expect(all(table, /^\| `([a-z_]+)` \|/gm)).toEqual(all(union, /'([a-z_]+)'/g))
  })

  test('the metrics', () => {
    const files = ['observe/Metrics.ts', 'observe/settlementGauges.ts'].map(source).join('\n')
    const told = between(operating, '### Metrics', '### Accounts')
    expect(all(told, /\b(drain_[a-z_]+)/g)).toEqual(all(files, /name: '(drain_[a-z_]+)'/g))
  })

  test('the fields of status', () => {
    const table = between(operating, '### `drain-provider status`', '### `GET /health`')
    const json = between(source('cli/status.ts'), 'export function toJson', '\n}\n')
    const fields = all(table, /`([a-zA-Z]+)`/g)
    const unnamed = ['provider', 'chainId', 'contract', 'currency']
    const body = between(json, '  return {', '\n  }')
    const own = all(body, /^ {4}([a-zA-Z]+):/gm).concat('channels')
    for (const field of own.filter((name) => !unnamed.includes(name))) expect(fields).toContain(field)
  })
})

test('it links to files that are there', () => {
  for (const link of all(operating, /\]\((\.\.\/[^)#]+)/g))
    expect(existsSync(new URL(`../../../docs/${link}`, import.meta.url))).toBe(true)
})
