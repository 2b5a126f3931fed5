/**
 * Channels whose booked payments may be gone from the chain, though they were final, or that are gone themselves. Noted before the
 * chain is followed on, and judged once what is there instead is final too: most transactions come again.
 */
import type { Hex } from 'viem'
import type { Notebook } from '../ledger/Notebook.ts'

/** `at`: the head when that was noticed. */
export type Doubt = { channelId: Hex; at: bigint }

const prefix = 'doubt/'

export async function raiseDoubts(notebook: Notebook, channelIds: Iterable<Hex>, at: bigint): Promise<void> {
  for (const channelId of new Set(channelIds))
    await notebook.write(`${prefix}${channelId}`, () => ({ result: undefined, write: `${at}` }))
}

/** Notes that the chain doesn't show a channel, unless it is in doubt already: asking again and again must not put the judgement off. */
export function doubtMissing(notebook: Notebook, { channelId, at }: Doubt): Promise<void> {
  return notebook.write(`${prefix}${channelId}`, (text) =>
    text === undefined ? { result: undefined, write: `${at}` } : { result: undefined },
  )
}

export async function* doubts(notebook: Pick<Notebook, 'read'>): AsyncGenerator<Doubt> {
  for await (const { key, text } of notebook.read(prefix))
    yield { channelId: key.slice(prefix.length) as Hex, at: BigInt(text) }
}

/** Takes a doubt away, unless another reorganisation has renewed it. */
export function settleDoubt(notebook: Notebook, { channelId, at }: Doubt): Promise<void> {
  return notebook.write(`${prefix}${channelId}`, (text) =>
    text === `${at}` ? { result: undefined, write: null } : { result: undefined },
  )
}
