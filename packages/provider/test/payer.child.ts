/**
 * A client in a process of its own: pays for `count` jokes, `at once` so many, from the store that others use too. `LATER`: how far
 * its clock is ahead, in milliseconds.
 */
import { createDrainClient } from '@drain/consumer'
import { sqliteStore } from '@drain/consumer/sqlite'
import { Deployment } from '@drain/core'
import type { Address, Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'

const { KEY, RPC_URL, CONTRACT, TOKEN, STORE, ORIGIN, LATER } = process.env as Record<string, string>
const [count, atOnce] = process.argv.slice(2).map(Number) as [number, number]

const client = createDrainClient({
  now: () => Date.now() + Number(LATER),
  account: privateKeyToAccount(KEY as Hex),
  deployment: Deployment.from({ chainId: 31_337, contract: CONTRACT as Address, token: TOKEN as Address }),
  rpcUrl: RPC_URL,
  limits: { perRequest: '0.05', perChannel: '5', perDay: '100', undelivered: '3' },
  store: sqliteStore(STORE as string),
})

let left = count
async function pay(): Promise<void> {
  while (left-- > 0) {
    const response = await client.fetch(`${ORIGIN}/joke`)
    const cost = response.headers.get('X-DRAIN-Cost')
    await response.text()
    console.log(`${response.status} ${cost}`)
  }
}
await Promise.all(Array.from({ length: atOnce }, pay))
await client.stop()
console.log('done')
