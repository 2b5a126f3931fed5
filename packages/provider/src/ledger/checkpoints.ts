import { once } from 'node:events'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import type { Database } from 'better-sqlite3'

/** After how many rows written the log is copied into the file: some 4 MiB, when each is on a page of its own. */
const rowsEach = 4000

/** After how many copies the log begins anew, some 64 MiB: once so little is left that it takes no time, or at the latest. */
const copiesEach = 16
const rowsLeft = 800
const copiesAtMost = 24

/** How long the log grows, in pages, before SQLite copies it by itself. */
const [withThread, withoutThread] = [200_000, 16_000]

/**
 * Copies the write-ahead log into the database file in a thread of its own. With many channels in use each of its pages goes
 * to another place: a tenth of a second, in which a ledger that did it itself would serve nobody.
 *
 * While the thread copies, the log grows; only when nothing in it is left to copy can it begin anew. So from time to time
 * the ledger's own thread copies what the other has left. The thread starts with the first copy; where it can't, SQLite
 * does the copying while it commits.
 */
export function checkpoints(database: Database) {
  let worker: Worker | undefined
  let isImpossible = false
  let isCopying = false
  let rows = 0
  let copies = 0
  database.pragma(`wal_autocheckpoint = ${withoutThread}`)

  function start(): Worker {
    // In the build for `require` there is a `__filename`, in the other an `import.meta`.
    const here = typeof __filename === 'string' ? __filename : import.meta.url
    const sqlite = createRequire(here).resolve('better-sqlite3')
    const started = new Worker(thread, {
      eval: true,
      // What this process was started with, such as an input type, would be said of that source too.
      execArgv: [],
      workerData: { sqlite, file: database.name },
    })
    started.unref()
    started.on('message', copied)
    started.on('error', giveUp)
    started.on('exit', giveUp)
    database.pragma(`wal_autocheckpoint = ${withThread}`)
    return started
  }

  function giveUp(): void {
    isImpossible = true
    if (database.open) database.pragma(`wal_autocheckpoint = ${withoutThread}`)
  }

  function copy(): void {
    rows = 0
    isCopying = true
    try {
      worker ??= start()
      worker.postMessage('copy')
    } catch {
      giveUp()
    }
  }

  function copied(): void {
    isCopying = false
    copies += 1
    // Nothing may be asked of a thread that was told to close.
    if (isImpossible || copies < copiesEach || !database.open) return
    if (rows > rowsLeft && copies < copiesAtMost) {
      copy()
      return
    }
    copies = 0
    try {
      database.pragma('wal_checkpoint(PASSIVE)')
    } catch {
      // It comes round again; what is in the log is as durable as what is in the file.
    }
  }

  return {
    /** To be called after a commit. */
    wrote(count: number): void {
      rows += count
      if (rows >= rowsEach && !isCopying && !isImpossible) copy()
    },

    async close(): Promise<void> {
      if (!worker || isImpossible) return
      isImpossible = true
      const ended = once(worker, 'exit')
      worker.ref()
      worker.postMessage('close')
      await ended
    },
  }
}

const thread = `
  const { parentPort, workerData } = require('node:worker_threads')
  const SQLite = require(workerData.sqlite)
  const database = new SQLite(workerData.file, { fileMustExist: true })
  database.pragma('wal_autocheckpoint = 0')
  parentPort.on('message', (what) => {
    if (what === 'close') {
      database.close()
      parentPort.close()
      return
    }
    try {
      database.pragma('wal_checkpoint(PASSIVE)')
    } finally {
      parentPort.postMessage('copied')
    }
  })
`
