/** Keeps scores current: at once where something has changed, and all of them again and again in small pieces. */
import { pruneFeedback } from '../feedback/pruneFeedback.ts'
import type { Rooms } from '../Rooms.ts'
import { rescore } from './rescore.ts'

export type Rescorer = {
  /** One piece of what has changed and one of the rest. How many scores it wrote. */
  round(): Promise<number>
  /** After the round that runs. */
  stop(): Promise<void>
}

/** Small: the database answers nobody else while it adds up a month of probes of so many. */
const pieceSize = 50

/** Works by itself every few seconds (`everyMs`, 5,000 by default) until it is stopped. */
export function startRescorer(rooms: Rooms, { everyMs = 5_000 }: { everyMs?: number } = {}): Rescorer {
  const { database, log } = rooms
  let after = ''
  let prunedAt = Number.NEGATIVE_INFINITY
  let isStopped = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let running: Promise<void> = Promise.resolve()

  async function round(): Promise<number> {
    const ids = new Set([...(await takeTouched()), ...(await nextPiece())])
    return (await rescore(rooms, [...ids])).length
  }

  /** Taken before they are computed: what changes meanwhile comes again. The sweep finds what is lost if this process ends. */
  async function takeTouched(): Promise<string[]> {
    return database.transaction(async (sql) => {
      const rows = await sql.all<{ provider_id: string }>(
        'SELECT provider_id FROM rescores ORDER BY provider_id LIMIT $1',
        pieceSize,
      )
      for (const row of rows) await sql.run('DELETE FROM rescores WHERE provider_id = $1', row.provider_id)
      return rows.map((row) => row.provider_id)
    })
  }

  async function nextPiece(): Promise<string[]> {
    const rows = await database.all<{ id: string }>(
      "SELECT id FROM providers WHERE state = 'approved' AND id > $1 ORDER BY id LIMIT $2",
      ...[after, pieceSize],
    )
    const isLast = rows.length < pieceSize
    after = isLast ? '' : (rows.at(-1)?.id ?? '')
    if (isLast && rooms.now() - prunedAt > 3_600_000) {
      prunedAt = rooms.now()
      await pruneFeedback(database, prunedAt)
    }
    return rows.map(({ id }) => id)
  }

  async function tick(): Promise<void> {
    await round().catch((err) => log.error({ err }, 'scores could not be computed'))
    schedule()
  }

  function schedule(): void {
    if (!isStopped)
      timer = setTimeout(() => {
        running = tick()
      }, everyMs)
  }

  schedule()
  return {
    round,
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running
    },
  }
}
