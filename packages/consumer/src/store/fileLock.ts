import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { StoreFileError, StoreInUseError } from './Errors.ts'

/** Who has a lock. What a platform doesn't tell is empty. */
type Holder = {
  pid: number
  /** Names this lock among all that ever were. */
  token: string
  host: string
  /** Process ids mean something within one of these only: containers have their own. */
  pidNamespace: string
  bootId: string
  /** Tells a process from a later one of the same id. */
  startedAt: string
}

/**
 * Takes the lock of `file`, a file beside it that says who has it. A lock whose process has ended is taken over: by one of
 * those who find it, since they take a lock for that first.
 *
 * @returns Gives it back.
 * @throws {StoreInUseError} Also where it can't be known whether the process lives: in another container, on another host.
 */
export function acquireFileLock(file: string): () => void {
  const lock = `${file}.lock`
  const me = describeSelf()
  // Linked or renamed to its place: nobody reads half of it.
  const draft = `${lock}.${me.token}`
  try {
    writeFileSync(draft, `${JSON.stringify(me)}\n`, { mode: 0o600, flag: 'wx' })
    take({ file, draft, me }, lock)
  } finally {
    rmSync(draft, { force: true })
  }
  const release = () => {
    process.removeListener('exit', release)
    if (read(lock)?.token === me.token) rmSync(lock, { force: true })
  }
  process.once('exit', release)
  return release
}

function take(taker: { file: string; draft: string; me: Holder }, lock: string): void {
  const { file, draft, me } = taker
  while (!link(draft, lock)) {
    const holder = read(lock)
    if (!holder) continue
    const isHere = holder.host === me.host && holder.pidNamespace === me.pidNamespace
    if (!isHere || isAlive(holder, me.bootId)) throw new StoreInUseError(file, { ...holder, isHere, lock })
    const turn = `${lock}.of.${holder.token}`
    take(taker, turn)
    try {
      // Whoever had the turn before may have taken the lock.
      if (read(lock)?.token !== holder.token) continue
      const copy = `${draft}.copy`
      linkSync(draft, copy)
      renameSync(copy, lock)
      return
    } finally {
      rmSync(turn, { force: true })
    }
  }
}

/** Whether it got the name. */
function link(draft: string, name: string): boolean {
  try {
    linkSync(draft, name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Undefined: nobody has it any more. */
function read(lock: string): Holder | undefined {
  const text = readOr(() => readFileSync(lock, 'utf8'), undefined)
  if (text === undefined) return undefined
  try {
    const { pid, token, host, pidNamespace, bootId, startedAt } = JSON.parse(text)
    if (Number.isInteger(pid) && /^[0-9a-f]+$/.test(token))
      return { pid, token, host, pidNamespace, bootId, startedAt }
  } catch {
    // Not ours.
  }
  throw new StoreFileError(lock, 'is not a lock', {
    action: 'Remove it, if no process uses the store that it belongs to.',
  })
}

function describeSelf(): Holder {
  return {
    pid: process.pid,
    token: randomBytes(12).toString('hex'),
    // Elsewhere a host has a new name when its network does.
    host: process.platform === 'linux' ? hostname() : '',
    pidNamespace: readOr(() => readlinkSync('/proc/self/ns/pid'), ''),
    bootId: readOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(), ''),
    startedAt: startOf(process.pid),
  }
}

function isAlive({ pid, bootId, startedAt }: Holder, currentBoot: string): boolean {
  if (bootId !== currentBoot || startOf(pid) !== startedAt) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** In clock ticks since the machine was started; the 22nd field, counted behind the name, which may hold anything. */
function startOf(pid: number): string {
  const stat = readOr(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

function readOr<fallback>(attempt: () => string, fallback: fallback): string | fallback {
  try {
    return attempt()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return fallback
    throw error
  }
}
