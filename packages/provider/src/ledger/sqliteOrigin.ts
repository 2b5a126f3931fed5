/**
 * Tells a ledger that went on from one that was copied back: what was spent after the copy was made is not in it, and would
 * be served again. The file remembers three things:
 *
 * - `place`: its inode and when that was made. A copy in another place has another one.
 * - `mark`: a number that rises with each opening, and while it is in use. The same number is kept in a file beside it,
 *   always a little later; so a file that is behind that one was put back in its place.
 * - `copied`: it was made by `backupSqliteLedger`.
 *
 * What none of these can tell is a snapshot of a whole disk, or of a folder with all that is in it, copied over itself.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import type { Database } from 'better-sqlite3'

/** The file beside a ledger's that has its mark. */
export function sidecarOf(file: string): string {
  return `${file}.opened`
}

/** What a new ledger in `file` has to remember. */
export function originOf(file: string): [name: string, value: string][] {
  return [
    ['id', randomBytes(16).toString('hex')],
    ['place', placeOf(file)],
    ['mark', '0'],
  ]
}

/** What a backup has to remember. */
export const copied: [name: string, value: string] = ['copied', 'yes']

/**
 * Finds out whether the ledger was copied back, freezes its open channels if so, and notes that it has been opened here.
 * Returns a function that raises its mark, to be called in a transaction now and then.
 */
export function recognize(
  database: Database,
  file: string,
  { restored, log }: { restored: 'freeze' | 'trust'; log: (message: string) => void },
): () => void {
  const select = database.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck()
  const put = database.prepare<[string, string]>(
    'INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
  )
  const read = (name: string) => select.get(name) ?? ''
  const sidecar = sidecarOf(file)

  function raise(): void {
    put.run('mark', String(BigInt(read('mark')) + 1n))
  }

  /** What is written beside the file must be in it, and on disk, already: else power loss would look like a copy. */
  function note(): void {
    writeSidecar(sidecar, read('id'), read('mark'))
  }

  database
    .transaction(() => {
      const place = placeOf(file)
      const found = [
        read(copied[0]) === copied[1] ? 'it is a backup' : undefined,
        isElsewhere(read('place'), place) ? 'it is not where it was' : undefined,
        isBehind(sidecar, read('id'), read('mark')) ? 'it is older than it was' : undefined,
      ].filter((reason) => reason !== undefined)
      if (found.length > 0) {
        const frozen =
          restored === 'freeze'
            ? database.prepare("UPDATE channels SET status = 'closing' WHERE status = 'open'").run().changes
            : 0
        database.prepare('DELETE FROM meta WHERE name = ?').run(copied[0])
        log(describe(file, found, restored, frozen))
      }
      put.run('place', place)
      raise()
    })
    .immediate()
  database.transaction(note).immediate()

  return () => {
    note()
    raise()
  }
}

function describe(file: string, reasons: string[], restored: 'freeze' | 'trust', frozen: number): string {
  const found = `The ledger ${file} was copied to where it is: ${reasons.join(', ')}.`
  if (restored === 'trust') return `${found} It is trusted to have everything that was spent, as configured.`
  return (
    `${found} Its ${frozen} open channels are frozen: what was spent after the copy was made would be served again. They can ` +
    'still be claimed and closed. (A file that is only moved while the provider is stopped can be opened once with ' +
    "`restored: 'trust'`.)"
  )
}

function placeOf(file: string): string {
  const { ino, birthtimeNs, ctimeNs } = statSync(file, { bigint: true })
  // Where a file system does not know it, Node tells the time of the last change, or 0.
  return `${ino} ${birthtimeNs === ctimeNs ? 0n : birthtimeNs}`
}

function isElsewhere(stored: string, found: string): boolean {
  const [inode, birth] = stored.split(' ')
  const [foundInode, foundBirth] = found.split(' ')
  if (inode !== foundInode) return true
  return birth !== foundBirth && birth !== '0' && foundBirth !== '0'
}

function isBehind(sidecar: string, id: string, mark: string): boolean {
  let noted: string
  try {
    noted = readFileSync(sidecar, 'utf8')
  } catch {
    return false
  }
  const [, notedId, notedMark] = /^([0-9a-f]{32}) (\d{1,20}) *\n$/.exec(noted) ?? []
  // Half written when the power went: it says nothing.
  if (notedId === undefined || notedMark === undefined) return false
  return notedId !== id || BigInt(notedMark) > BigInt(mark)
}

/** Always of the same length and in place, so that a disk has either the old or the new one. */
function writeSidecar(sidecar: string, id: string, mark: string): void {
  const descriptor = openSync(sidecar, existsSync(sidecar) ? 'r+' : 'w')
  try {
    writeSync(descriptor, `${id} ${mark.padEnd(20)}\n`, 0)
    fdatasyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
