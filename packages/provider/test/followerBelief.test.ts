/** Who follows the chain knows that it doesn't get on, also where by the cursor nothing is missing. */
import { type Hex, toHex } from 'viem'
import { expect, test } from 'vitest'
import { createFollowing } from '../src/observe/Following.ts'
import { fixture, follow, ledger, mine, proxy, rpc, startFollowing } from './following.ts'

startFollowing()

/** A follower of a chain whose time isn't what it is told to be, and what watches it. */
async function watched() {
  const { publicClient, deployment } = fixture.chain
  let now = Number((await publicClient.getBlock()).timestamp) * 1_000
  const clock = () => now
  const follower = follow({ deployment: { ...deployment, chainId: 137 }, clock })
  let triedAt: number | undefined
  const following = createFollowing({
    ...{ ledger, clock },
    chain: { head: () => publicClient.getBlockNumber({ cacheTime: 0 }) },
    own: () => ({ triedAt, followedAt: follower.followedAt }),
  })
  return {
    clock,
    /** One round of many, half a minute after the one before. */
    async isLost(): Promise<boolean> {
      now += 31_000
      triedAt = now
      await follower.poll()
      return following.isLost()
    },
  }
}

test('a head from the future is not believed, and told after a minute', async () => {
  const { clock, isLost } = await watched()
  expect(await isLost()).toBe(false)
  proxy.lie = async ({ method, params }, ask) => {
    const answer = await ask()
    if (method !== 'eth_getBlockByNumber' || params[0] !== 'latest') return answer
    const timestamp = toHex(Math.floor(clock() / 1_000) + 1_000)
    return { result: { ...(answer.result as { timestamp: Hex }), timestamp } }
  }
  expect([await isLost(), await isLost(), await isLost()]).toEqual([false, true, true])
  proxy.lie = undefined
  expect(await isLost()).toBe(false)
})

test('so is a head behind what was read', async () => {
  const { isLost } = await watched()
  expect(await isLost()).toBe(false)
  const first = await fixture.chain.publicClient.getBlockNumber({ cacheTime: 0 })
  await mine(5)
  expect(await isLost()).toBe(false)
  const old = await rpc('eth_getBlockByNumber', [toHex(first + 2n), false])
  proxy.lie = async ({ method, params }, ask) =>
    method === 'eth_getBlockByNumber' && params[0] === 'latest' ? { result: old } : ask()
  expect([await isLost(), await isLost(), await isLost()]).toEqual([false, true, true])
  proxy.lie = undefined
  expect(await isLost()).toBe(false)
})
