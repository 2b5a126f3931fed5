import type { Writable } from 'node:stream'
import { createDrainClient, type DrainClient } from '../client/createDrainClient.ts'
import { openStore } from './openStore.ts'
import type { Settings } from './settings.ts'

/** Runs one task with a client, tells what it opens and closes, and waits for what is still being written. */
export async function withClient<result>(
  { stateDir, ...settings }: Settings,
  stderr: Writable,
  task: (client: DrainClient) => Promise<result>,
): Promise<result> {
  const store = await openStore(stateDir)
  const client = createDrainClient({ ...settings, store })
  client.on('opened', ({ channelId, origin, deposit }) => {
    stderr.write(`Opened channel ${channelId} with ${deposit} USDC for ${origin}\n`)
  })
  client.on('expiring', ({ channelId, origin, remaining }) => {
    stderr.write(`Channel ${channelId} for ${origin} expires soon, with ${remaining} USDC left\n`)
  })
  try {
    return await task(client)
  } finally {
    await client.stop()
  }
}
