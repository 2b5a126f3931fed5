/** A client's configuration file: read with care, since it is not ours, and written whole or not at all. */
import { randomBytes } from 'node:crypto'
import {
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { DrainError } from '@drain/core'
import { setMember } from './jsonText.ts'
import { writeNew } from './newFile.ts'

/** How a client starts a server. Clients add fields of their own. */
export type Entry = { command: string; args: string[]; env: Record<string, string> }
export type FoundEntry = { env: Record<string, string>; fields: Record<string, unknown> }

export type ConfigFile = {
  /** As the client names it. */
  path: string
  /** Where it really is: the link's end, where it is one. */
  target: string
  /** `undefined` where there is none. */
  text: string | undefined
  /** The entry `drain`, where it has one. */
  entry: FoundEntry | undefined
}

const name = 'drain'
const bom = '\uFEFF'

/** @throws {DrainError} `config_unusable`: nothing but plain JSON of the usual shape is changed */
export function readConfig(path: string): ConfigFile {
  const target = followLink(path)
  const text = readText(target)
  if (text === undefined || bare(text).trim() === '') return { path, target, text, entry: undefined }
  const root = parse(path, bare(text))
  const servers = isObject(root) ? (root.mcpServers ?? {}) : undefined
  const entry = isObject(servers) ? servers[name] : null
  if (!isObject(root) || !isObject(servers) || root.mcpServers === null || entry === null)
    throw unusable(path, 'has another shape than an MCP configuration')
  if (entry === undefined) return { path, target, text, entry: undefined }
  if (!isObject(entry) || !isObject(entry.env ?? {}))
    throw unusable(path, 'has an entry "drain" of another shape')
  const values = Object.entries((entry.env ?? {}) as Record<string, unknown>)
  if (values.some(([, value]) => typeof value !== 'string'))
    throw unusable(path, 'has values in the "env" of its entry "drain" that are no text')
  return {
    path,
    target,
    text,
    entry: { env: Object.fromEntries(values) as Record<string, string>, fields: entry },
  }
}

/**
 * Puts the entry in. Everything else keeps its place and its form; a copy of the file as it was stands beside it as `.bak`, of later
 * changes as `.bak.2` and so on.
 *
 * @returns `undefined` where nothing had to be changed.
 * @throws {DrainError} `config_unusable`, `config_unwritable`
 */
export function writeEntry(config: ConfigFile, entry: Entry): { backup: string | undefined } | undefined {
  const { path, target, text = '' } = config
  const wanted = entryOf(config, entry)
  if (isDeepStrictEqual(config.entry?.fields, wanted)) return undefined
  const old = bare(text).trim() === '' ? '{}\n' : bare(text)
  const json = setMember(old, ['mcpServers', name], wanted)
  const fresh = (text.startsWith(bom) ? bom : '') + json
  try {
    mkdirSync(dirname(target), { recursive: true })
    const backup = config.text === undefined ? undefined : keepCopy(path, target)
    replace(target, fresh, config.text)
    return { backup }
  } catch (error) {
    if (error instanceof DrainError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new DrainError('config_unwritable', `${path} cannot be written (${code}).`, {
      action: 'Check who may write there; nothing was changed.',
    })
  }
}

/** Whether an entry starts, or reaches, something else than this one does: another version, a container, a server elsewhere. */
export function startsAnother({ entry: found }: ConfigFile, { command, args }: Entry): boolean {
  if (!found) return false
  const { command: old, args: oldArgs = [], url, serverUrl } = found.fields
  return !isDeepStrictEqual([old, oldArgs, url, serverUrl], [command, args, undefined, undefined])
}

/** The permissions of a file that others than its owner may read, such as `644`. Windows tells nothing by them. */
export function sharedMode({ target }: ConfigFile, platform: NodeJS.Platform): string | undefined {
  const mode = statSync(target, { throwIfNoEntry: false })?.mode ?? 0
  return platform !== 'win32' && (mode & 0o044) !== 0 ? (mode & 0o777).toString(8) : undefined
}

/** The entry as it will be: fields that a client put in (such as `disabled`) stay; those of another way to reach a server go. */
function entryOf({ entry: found }: ConfigFile, { command, args, env }: Entry) {
  const {
    url,
    serverUrl,
    headers,
    type,
    command: _command,
    args: _args,
    env: _env,
    ...kept
  } = found?.fields ?? {}
  return { command, args, env, ...kept }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw unusable(path, 'is not plain JSON (it may have comments)')
  }
}

function unusable(path: string, problem: string): DrainError {
  return new DrainError('config_unusable', `${path} ${problem}: it was left as it is.`, {
    action: 'Add the entry by hand, in "mcpServers".',
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bare(text: string): string {
  return text.startsWith(bom) ? text.slice(1) : text
}

function followLink(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw unusable(path, `cannot be read (${code})`)
    if (lstatSync(path, { throwIfNoEntry: false }))
      throw unusable(path, 'is a link to a file that is not there')
    return path
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw unusable(file, `cannot be read (${code})`)
  }
}

/**
 * How it was before. Beside the name that the client uses, which may be a link into some collection. No copy is written over.
 *
 * @returns Where it is.
 */
function keepCopy(path: string, target: string): string {
  for (let count = 1; ; count++) {
    const copy = count === 1 ? `${path}.bak` : `${path}.bak.${count}`
    try {
      copyFileSync(target, copy, constants.COPYFILE_EXCL)
      return copy
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Writes beside it first: what the client reads is the old file or the new one. */
function replace(target: string, text: string, expected: string | undefined): void {
  const draft = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`)
  try {
    const mode = statSync(target, { throwIfNoEntry: false })?.mode
    writeNew(draft, text, mode === undefined ? 0o600 : mode & 0o777)
    if (readText(target) !== expected) {
      throw new DrainError('config_unwritable', `${target} was changed by another program just now.`, {
        action: 'Try again.',
      })
    }
    renameSync(draft, target)
  } finally {
    rmSync(draft, { force: true })
  }
}
