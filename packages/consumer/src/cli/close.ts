import { DrainError } from '@drain/core'
import type { Hex } from 'viem'
import type { ClosedChannel, DrainClient } from '../client/createDrainClient.ts'

export type Closings = { closed: ClosedChannel[]; failures: { channelId: Hex; message: string }[] }

/**
 * `drain close`: one channel, by id or origin, or all, one after the other. Of all, those that can't be closed don't keep the others
 * from it.
 *
 * @throws {DrainError} Why the one was not closed.
 */
export async function closeChannels(client: DrainClient, target: string | undefined): Promise<Closings> {
  if (target !== undefined) return { closed: [await client.close(target)], failures: [] }
  const all: Closings = { closed: [], failures: [] }
  for (const { channelId, state } of await client.channels()) {
    if (state === 'closed') continue
    try {
      all.closed.push(await client.close(channelId))
    } catch (error) {
      if (!(error instanceof DrainError)) throw error
      all.failures.push({ channelId, message: error.message })
    }
  }
  return all
}
