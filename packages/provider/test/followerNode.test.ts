/** Following the contract by nodes that refuse, fall behind or lie. */
import { ChainUnavailableError } from '@drain/provider'
import type { Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import {
  expire,
  fixture,
  follow,
  ledger,
  lines,
  mine,
  openOther,
  proxy,
  rpc,
  send,
  serve,
  startFollowing,
  storedCursor,
  tooLong,
} from './following.ts'

startFollowing()

describe('a node', () => {
  test('that refuses long ranges is asked for shorter ones, then for longer ones again', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ duration: 1_000n })
    await serve(channel, 1n)
    await mine(60)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    proxy.lie = tooLong(8n)
    expect(await follower.poll()).toMatchObject({ behind: 0n })
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    const asked = proxy.count('eth_getLogs')
    proxy.lie = undefined
    await mine(130)
    await follower.poll()
    expect(proxy.count('eth_getLogs') - asked).toBeLessThan((3 * 130) / 8)
  })

  test('that answers little at a time does not hold up a round without end', async () => {
    const follower = follow()
    await follower.poll()
    await mine(100)
    proxy.lie = tooLong(1n)
    const { behind } = await follower.poll()
    expect(behind).toBeGreaterThan(0n)
    expect(behind).toBeLessThan(100n)
    expect(await follower.poll()).toMatchObject({ behind: 0n })
  })

  test('that refuses every range is no answer, and is not asked without end', async () => {
    const follower = follow()
    await follower.poll()
    await mine(30)
    proxy.lie = tooLong(0n)
    await expect(follower.poll()).rejects.toThrow(ChainUnavailableError)
    expect(proxy.count('eth_getLogs')).toBeLessThan(100)
    proxy.lie = undefined
    expect(await follower.poll()).toMatchObject({ behind: 0n })
  })

  test('that is away loses nothing, and its address is in no message', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ duration: 1_000n })
    await serve(channel, 1n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    proxy.isDown = true
    const error = await follower.poll().catch((error) => error)
    expect(error).toBeInstanceOf(ChainUnavailableError)
    expect(`${error.message}${lines.join()}`).not.toContain(new URL(proxy.url).port)
    proxy.isDown = false
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
  })

  test('that falls behind is waited for, and that is said once', async () => {
    const follower = follow()
    const before = await follower.poll()
    await mine(20)
    const channel = await fixture.open()
    await serve(channel, 1n)
    const head = await follower.poll()
    proxy.lie = async ({ method, params }, ask) =>
      method === 'eth_getBlockByNumber' && params[0] === 'latest'
        ? { result: await rpc(method, [`0x${before.number.toString(16)}`, false]) }
        : ask()
    expect(await follower.poll()).toEqual(head)
    expect(await follower.poll()).toEqual(head)
    expect(lines.filter((line) => line.includes('behind'))).toHaveLength(1)
    expect((await storedCursor()).seen.number).toBe(head.number)
    proxy.lie = undefined
    await mine(1)
    expect((await follower.poll()).number).toBe(head.number + 1n)
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open' })
  })

  test('whose head is from the future is not followed', async () => {
    // On a chain of one machine, time is what it is told to be.
    const deployment = { ...fixture.chain.deployment, chainId: 137 }
    const { timestamp } = await fixture.chain.publicClient.getBlock()
    const clock = () => Number(timestamp) * 1_000
    const follower = follow({ deployment, clock })
    const before = await follower.poll()
    await mine(1)
    proxy.lie = async ({ method, params }, ask) => {
      const answer = await ask()
      if (method !== 'eth_getBlockByNumber' || params[0] !== 'latest') return answer
      const block = answer.result as { number: Hex; timestamp: Hex }
      const number = `0x${(BigInt(block.number) + 1_000_000n).toString(16)}`
      return { result: { ...block, number, timestamp: `0x${(BigInt(timestamp) + 901n).toString(16)}` } }
    }
    const { behind, ...head } = await follower.poll()
    expect(before).toMatchObject(head)
    expect(behind).toBe(1_000_001n)
    expect((await storedCursor()).seen.number).toBe(before.number)
    expect(lines.filter((line) => line.includes('future'))).toHaveLength(1)
    await expect(follow({ deployment, clock, on: openOther() }).poll()).rejects.toThrow(ChainUnavailableError)
    proxy.lie = undefined
    expect(await follower.poll()).toMatchObject({ number: before.number + 1n, behind: 0n })
  })

  test('that answers for another block than it has is not believed', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ duration: 1_000n })
    await serve(channel, 1n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    const cursor = await storedCursor()
    // The logs come from a node that lacks the last block; asked for it again, it has another one in its place.
    proxy.lie = async ({ method, params }, ask) => {
      if (method === 'eth_getLogs') return { result: [] }
      const answer = await ask()
      if (method !== 'eth_getBlockByNumber' || params[0] === 'latest') return answer
      const block = answer.result as { number: Hex; hash: Hex }
      if (BigInt(block.number) <= cursor.seen.number) return answer
      return { result: { ...block, hash: `0x${'11'.repeat(32)}` } }
    }
    await expect(follower.poll()).rejects.toThrow(ChainUnavailableError)
    expect(await storedCursor()).toEqual(cursor)
    proxy.lie = undefined
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
  })
})
