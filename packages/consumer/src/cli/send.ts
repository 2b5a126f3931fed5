import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { Usdc } from '@drain/core'
import type { DrainClient } from '../client/createDrainClient.ts'

/** Sends a request, hands its answer on and tells what it cost, in USDC, once all of the answer has arrived. */
export async function send(
  client: DrainClient,
  url: URL,
  init: RequestInit,
  receive: (response: Response) => Promise<void>,
): Promise<{ status: number; cost: string }> {
  let cost = 0n
  const forget = client.on('paid', (event) => {
    cost += Usdc.parse(event.cost)
  })
  const response = await client.fetch(url, init)
  await receive(response)
  forget()
  return { status: response.status, cost: Usdc.format(cost) }
}

/** Writes no faster than it is read. @throws When the reader has gone (`EPIPE`). */
export function createOutlet(to: Writable): (chunk: Uint8Array | string) => Promise<void> {
  const failed = new Promise<never>((_, reject) => to.once('error', reject))
  failed.catch(() => {})
  return async (chunk) => {
    if (!to.write(chunk)) await Promise.race([once(to, 'drain'), failed])
  }
}
