/** How far the contract's events were read, and what is needed to notice that the chain has changed behind that. */
import type { Hex } from 'viem'
import type { Notebook } from '../ledger/Notebook.ts'

export type Block = { number: bigint; hash: Hex }

/** A block that was read, with the channels that were opened in it, and those of the ledger that were closed. */
export type RecentBlock = Block & { opened: readonly Hex[]; closed: readonly Hex[] }

/** A channel whose open went away. `at`: the head when that was noticed. */
export type RemovedOpen = { channelId: Hex; at: bigint }

export type Cursor = {
  /** The last block whose events were seen. */
  readonly seen: Block
  /** The last block whose events were booked, as ones that can't go away. Never above `seen`. */
  readonly booked: bigint
  /** Oldest first; what is above `booked` is not final. Not every block is among them. */
  readonly recent: readonly RecentBlock[]
  readonly removed: readonly RemovedOpen[]
}

/** What is remembered of blocks without events, and of channels: the note must not grow without end. */
const mostPlainBlocks = 256
const mostChannels = 4_096
const mostRemoved = 1_024
/** Blocks below the booked ones whose channels are still remembered: chains have gone back further than they promise. */
const beyondFinality = 256n

/** A cursor that has read nothing before `block`, nor the block itself. */
export function startAt(block: Block): Cursor {
  const recent = [{ ...block, opened: [], closed: [] }]
  return { seen: block, booked: block.number, recent, removed: [] }
}

/** Remembers blocks, in the place of what was remembered of them before. When they are too many, the oldest are forgotten. */
export function remember(cursor: Cursor, blocks: readonly RecentBlock[]): Cursor {
  const byNumber = new Map([...cursor.recent, ...blocks].map((block) => [block.number, block]))
  const newestFirst = [...byNumber.values()].sort((a, b) => Number(b.number - a.number))
  let plainBlocks = 0
  let channels = 0
  const kept = newestFirst.flatMap((block) => {
    const { number, hash, opened, closed } = block
    const count = opened.length + closed.length
    const isOld = number + beyondFinality < cursor.booked || channels + count > mostChannels
    if (count > 0 && !isOld) {
      channels += count
      return block
    }
    plainBlocks += 1
    return plainBlocks > mostPlainBlocks ? [] : { number, hash, opened: [], closed: [] }
  })
  return { ...cursor, recent: kept.reverse() }
}

/** Back to `block`; what was remembered above it is forgotten. */
export function rewind(cursor: Cursor, block: Block): Cursor {
  const { booked, recent } = cursor
  return {
    ...cursor,
    seen: block,
    booked: block.number < booked ? block.number : booked,
    recent: recent.filter(({ number }) => number <= block.number),
  }
}

export function remove(cursor: Cursor, opens: readonly RemovedOpen[]): Cursor {
  const byId = new Map([...cursor.removed, ...opens].map((open) => [open.channelId, open]))
  return { ...cursor, removed: [...byId.values()].slice(-mostRemoved) }
}

export function format({ seen, booked, recent, removed }: Cursor): string {
  return JSON.stringify({
    seen: [`${seen.number}`, seen.hash],
    booked: `${booked}`,
    recent: recent.map(({ number, hash, opened, closed }) => [`${number}`, hash, opened, closed]),
    removed: removed.map(({ channelId, at }) => [channelId, `${at}`]),
  })
}

export function parse(text: string): Cursor {
  const note = JSON.parse(text) as {
    seen: [string, Hex]
    booked: string
    recent: [string, Hex, Hex[], Hex[]][]
    removed: [Hex, string][]
  }
  return {
    seen: { number: BigInt(note.seen[0]), hash: note.seen[1] },
    booked: BigInt(note.booked),
    recent: note.recent.map(([number, hash, opened, closed]) => ({
      ...{ number: BigInt(number), hash },
      ...{ opened, closed },
    })),
    removed: note.removed.map(([channelId, at]) => ({ channelId, at: BigInt(at) })),
  }
}

/** Where a ledger's cursor is noted. */
export const key = 'cursor'

/** The last block whose events were seen, by whoever follows the chain for a ledger. `undefined`: nobody has yet. */
export async function followedTo(notebook: Pick<Notebook, 'read'>): Promise<bigint | undefined> {
  for await (const note of notebook.read(key)) if (note.key === key) return parse(note.text).seen.number
  return undefined
}
