import {
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DrainError } from '@drain/core'
import type { ClientStore, Write } from './ClientStore.ts'
import { StoreFileError, StoreUnavailableError } from './Errors.ts'
import { createEntries, type Entries } from './entries.ts'
import { acquireFileLock } from './fileLock.ts'
import { type LogEnd, readLog, stepLine, writeLog } from './fileLog.ts'
import { plainSeal } from './plainSeal.ts'
import { createStepQueue, type Outcome, type Step, takeStep } from './stepQueue.ts'
import { syncFolder } from './syncFolder.ts'

/** A log is written anew when it is this many times as long as what it says, and this many bytes longer. */
const [slack, slackBytes] = [4, 1_000_000]

/**
 * A store in one file, for one process at a time; `sqliteStore` lets several have one. Needs no native module. What it
 * acknowledged survives power loss; steps asked for at once share the flush. The file is made readable by its owner only.
 *
 * Keep it on a local disk. `close` it, or end the process, before another opens it. In a container that may be killed, use
 * `sqliteStore`: a process in another container can't tell whether the one that had the file has ended.
 *
 * @example
 * ```ts
 * const client = createDrainClient({ account, chainId: 137, limits, store: fileStore('drain-channels.log') })
 * ```
 * @throws {StoreInUseError} `store_in_use`: another process has it.
 * @throws {StoreFileError} `store_file`: damaged, or another program's. Nothing is changed.
 */
export function fileStore(path: string): ClientStore {
  const file = existsSync(path) ? realpathSync(path) : resolve(path)
  const release = refusing(file, 'cannot be locked', unwritable, () => acquireFileLock(file))
  let log: ReturnType<typeof openLog>
  try {
    log = openLog(file)
  } catch (error) {
    release()
    throw error
  }
  const queue = createStepQueue({
    commit: log.commit,
    soon: setImmediate,
    release() {
      log.close()
      release()
    },
  })
  return { ...queue, ...plainSeal }
}

/** The file, open, and what it says. */
type Log = { descriptor: number; entries: Entries; end: LogEnd }

function openLog(file: string) {
  let log = existsSync(file)
    ? load(file)
    : refusing(file, 'cannot be created', unwritable, () => writeAnew(file, createEntries()))
  /** Its length when it was last written anew, in bytes. */
  let compact = log.end.bytes
  let failure: StoreUnavailableError | undefined

  async function append(text: string, hash: string): Promise<void> {
    const { descriptor, end } = log
    if (fstatSync(descriptor).nlink === 0) throw fail('its file was removed')
    try {
      log.end = { bytes: writeAll(descriptor, Buffer.from(text), end.bytes), hash }
    } catch (cause) {
      forget(end)
      throw cause
    }
    // What a flush that failed has lost can't be known, nor is it tried again.
    await flush(descriptor).catch((cause) => {
      throw fail('the disk failed, and may have lost what was written last', cause)
    })
  }

  /** Goes back to where the file ended. */
  function forget({ bytes }: LogEnd): void {
    try {
      ftruncateSync(log.descriptor, bytes)
      closeSync(log.descriptor)
      log = load(file)
    } catch (cause) {
      fail('its file could not be mended after a write that failed', cause)
    }
  }

  function shorten(): void {
    try {
      const { descriptor } = log
      log = writeAnew(file, log.entries)
      closeSync(descriptor)
    } catch {
      // Then it stays long for now, unless it is another file already: the next step finds out.
    }
    compact = log.end.bytes
  }

  function fail(problem: string, cause?: unknown): StoreUnavailableError {
    failure ??= new StoreUnavailableError(problem, {
      cause,
      action: 'Check the disk, and start the process anew.',
    })
    return failure
  }

  return {
    async commit(steps: readonly Step[]): Promise<readonly Outcome[]> {
      if (failure) throw failure
      const { entries, end } = log
      let [text, hash] = ['', end.hash]
      function put(revision: number, writes: readonly Write[]): void {
        const line = stepLine(hash, revision, writes)
        text += line.text
        hash = line.hash
        entries.put(revision, writes)
      }
      const outcomes = steps.map((step) => takeStep({ ...entries, put }, step))
      if (text !== '') await append(text, hash)
      if (log.end.bytes > slack * compact + slackBytes) shorten()
      return outcomes
    },
    close: () => closeSync(log.descriptor),
  }
}

function load(file: string): Log {
  const { entries, end } = refusing(file, 'is damaged', restore, () => readLog(readFileSync(file)))
  return refusing(file, 'cannot be opened', unwritable, () => {
    const descriptor = openSync(file, 'r+')
    // A line that was cut off, and what somebody else has not flushed.
    ftruncateSync(descriptor, end.bytes)
    fsyncSync(descriptor)
    return { descriptor, entries, end }
  })
}

/** Writes a file beside it, and puts that in its place: it is the old one or the new one. */
function writeAnew(file: string, entries: Entries): Log {
  const { text, hash } = writeLog(entries)
  const descriptor = openSync(`${file}.new`, 'w', 0o600)
  try {
    const bytes = writeAll(descriptor, Buffer.from(text), 0)
    fsyncSync(descriptor)
    renameSync(`${file}.new`, file)
    syncFolder(dirname(file))
    return { descriptor, entries, end: { bytes, hash } }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** In another thread, since a disk may take its time. */
function flush(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(descriptor, (error) => (error ? reject(error) : resolve()))
  })
}

/** Returns where it ends. */
function writeAll(descriptor: number, bytes: Buffer, from: number): number {
  for (let done = 0; done < bytes.length; )
    done += writeSync(descriptor, bytes, done, bytes.length - done, from + done)
  return from + bytes.length
}

const unwritable = 'It needs an existing, writable folder on a local disk.'

const restore =
  'Restore it from a copy; or put it aside, start with another file, and let `client.recover()` find the channels again.'

function refusing<result>(file: string, problem: string, action: string, attempt: () => result): result {
  try {
    return attempt()
  } catch (cause) {
    if (cause instanceof DrainError) throw cause
    throw new StoreFileError(file, problem, { action, cause })
  }
}
