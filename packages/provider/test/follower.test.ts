/** Following the contract: what is opened, claimed and closed, in rounds. */
import { CloseAuthorization } from '@drain/core'
import type { Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import * as Cursor from '../src/settle/Cursor.ts'
import { finalityOf } from '../src/settle/finality.ts'
import {
  all,
  allAlarms,
  claim,
  expire,
  factsOf,
  fixture,
  follow,
  forgotten,
  ledger,
  lines,
  mine,
  openAgain,
  ours,
  proxy,
  send,
  serve,
  sign,
  startFollowing,
  storedCursor,
} from './following.ts'

startFollowing()

describe('channels that are opened, claimed and closed', () => {
  test('are booked in order, once each', async () => {
    const follower = follow()
    const first = await follower.poll()
    expect(first).toMatchObject({ behind: 0n, finalNumber: first.number })
    const channel = await fixture.open()
    const voucher = await serve(channel, 400_000n)
    await claim(channel, 300_000n, { ours: true })
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open', claimed: 0n }) // the journal's

    const { amount, nonce, signature } = voucher
    ours.add(await send(fixture.provider, 'claimAndClose', [channel.id, amount, nonce, amount, signature]))
    const head = await follower.poll()
    expect(head.number).toBeGreaterThan(first.number)
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed', charged: 400_000n })
    expect(forgotten).toContain(channel.id)
    expect(await allAlarms()).toEqual([])
    const asked = proxy.count('eth_getLogs')
    expect(await follower.poll()).toEqual(head)
    expect(proxy.count('eth_getLogs')).toBe(asked)
  })

  test('are frozen when they are closed, and closed when that is final', async () => {
    const follower = follow({ depth: 3n })
    const channel = await fixture.open({ duration: 1_000n })
    await follower.poll()
    await serve(channel, 400_000n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    expect(forgotten).toEqual([channel.id])
    expect(await allAlarms()).toEqual([])
    await mine(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    await mine(1)
    const head = await follower.poll()
    expect(head.number - head.finalNumber).toBe(3n)
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    expect(await allAlarms()).toEqual([
      {
        channelId: channel.id,
        code: 'closed_owing',
        message: expect.stringContaining('0.400000 USDC charged and not claimed'),
      },
    ])
  })

  test('may owe dust', async () => {
    const follower = follow({ dust: 400_000n })
    const channel = await fixture.open({ duration: 1_000n })
    await follower.poll()
    await serve(channel, 400_000n)
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    expect(await allAlarms()).toEqual([])
    expect(lines.join()).toContain('0.400000 USDC')
  })

  test('and are closed by the consumer with our signature are paid', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await ledger.freeze(await factsOf(channel.id))
    await ledger.finalize(channel.id)
    const authorization = { channelId: channel.id, finalAmount: 400_000n }
    const signature = await fixture.provider.signTypedData(
      CloseAuthorization.typedData(authorization, fixture.chain.deployment),
    )
    const txHash = await send(fixture.consumer, 'cooperativeClose', [channel.id, 400_000n, signature])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 400_000n })
    expect(await allAlarms()).toEqual([])
    const claims = await all(ledger.claims())
    expect(claims).toMatchObject([{ channelId: channel.id, txHash, amount: 400_000n, fee: 0n, gasCost: 0n }])
  })

  test('of others do not matter', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open({ to: fixture.stranger.address, duration: 1_000n })
    const { nonce, signature } = await sign(channel, 5n)
    await send(fixture.stranger, 'claim', [channel.id, 5n, nonce, signature])
    await expire(channel)
    await send(fixture.consumer, 'close', [channel.id])
    await follower.poll()
    expect(await ledger.get(channel.id)).toBeUndefined()
    expect([await allAlarms(), forgotten]).toEqual([[], []])
  })
})

describe('a claim that nobody here sent', () => {
  const codes = async () => (await allAlarms()).map(({ code }) => code)

  test('freezes the channel once it is final, and is recorded', async () => {
    const follower = follow({ depth: 2n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    const hash = await claim(channel, 300_000n, { ours: false })
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open', claimed: 0n })
    await mine(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing', claimed: 300_000n, alarm: false })
    expect(await allAlarms()).toMatchObject([
      { code: 'unknown_claim', message: expect.stringContaining(hash) },
    ])
    expect(lines.filter((line) => line.startsWith('ALARM'))).toHaveLength(1)
  })

  test('of more than was charged, or on a channel that the ledger lost, is an alarm of its own', async () => {
    const follower = follow()
    await follower.poll()
    const [served, lost] = [await fixture.open(), await fixture.open()]
    await serve(served, 100_000n)
    await claim(served, 300_000n, { ours: false })
    await claim(lost, 200_000n, { ours: false })
    await follower.poll()
    const frozen = { status: 'closing', alarm: true }
    expect(await ledger.get(served.id)).toMatchObject({ ...frozen, charged: 300_000n, claimed: 300_000n })
    expect(await ledger.get(lost.id)).toMatchObject({ ...frozen, charged: 200_000n, claimed: 200_000n })
    expect((await codes()).sort()).toEqual(['overclaimed', 'overclaimed', 'unknown_claim', 'unknown_claim'])
    expect((await allAlarms()).map(({ message }) => message).join()).toContain(
      `0.300000 USDC of channel ${served.id} were claimed, and this ledger had charged 0.100000 USDC`,
    )
  })

  test('and that closed the channel is recorded from what was refunded', async () => {
    const follower = follow()
    await follower.poll()
    const channel = await fixture.open()
    const { amount, nonce, signature } = await serve(channel, 400_000n)
    await claim(channel, 100_000n, { ours: false })
    await send(fixture.provider, 'claimAndClose', [channel.id, amount, nonce, 300_000n, signature])
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 300_000n, alarm: false })
    expect((await codes()).sort()).toEqual(['closed_owing', 'unknown_claim'])
    expect((await allAlarms()).find(({ code }) => code === 'closed_owing')?.message).toContain(
      '0.100000 USDC',
    )
  })

  test('but is in the accounts is one from before there was a journal', async () => {
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await ledger.beginClaim(channel.id, 300_000n)
    const txHash = await claim(channel, 300_000n, { ours: false })
    await ledger.endClaim(await factsOf(channel.id), { txHash, fee: 0n, gasCost: 1n })
    await follow().poll()
    expect(lines.join()).toContain('starting a while back')
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open', claimed: 300_000n })
    expect((await allAlarms()).filter(({ channelId }) => channelId === channel.id)).toEqual([])
  })
})

test('a channel that is not what the ledger knew keeps no other from being followed', async () => {
  const follower = follow()
  await follower.poll()
  const [wrong, right] = [await fixture.open(), await fixture.open({ duration: 1_000n })]
  const facts = await factsOf(wrong.id)
  await ledger.freeze({ ...facts, deposit: facts.deposit + 1n })
  await serve(right, 1n)
  await claim(wrong, 5n, { ours: false })
  await expire(right)
  await send(fixture.consumer, 'close', [right.id])
  expect(await follower.poll()).toMatchObject({ behind: 0n })
  expect(await ledger.get(right.id)).toMatchObject({ status: 'closed' })
  expect(lines.join()).toContain('could not be booked')
  expect((await allAlarms()).map(({ channelId }) => channelId)).toContain(wrong.id)
})

test('what is final is booked at once when a channel was closed, else sixteen blocks together', async () => {
  const follower = follow({ depth: 64n })
  await follower.poll()
  const [closed, claimed] = [await fixture.open({ duration: 1_000n }), await fixture.open()]
  await serve(closed, 1n)
  await expire(closed)
  await send(fixture.consumer, 'close', [closed.id])
  await serve(claimed, 2n)
  await claim(claimed, 2n, { ours: false })
  await mine(62) // one more on top, and the close is final
  const { number } = await follower.poll()
  await mine(1)
  await follower.poll()
  expect(await ledger.get(closed.id)).toMatchObject({ status: 'closed' })
  const asked = proxy.count('eth_getLogs')
  await mine(1)
  await follower.poll()
  expect(proxy.count('eth_getLogs') - asked).toBe(3)
  expect(await ledger.get(claimed.id)).toMatchObject({ status: 'open' })
  await mine(16)
  expect((await follower.poll()).number).toBe(number + 18n)
  expect(await ledger.get(claimed.id)).toMatchObject({ status: 'closing', claimed: 2n })
})

describe('rounds', () => {
  test('that are asked for at the same time are one', async () => {
    const follower = follow()
    const release = proxy.hold()
    const polls = Array.from({ length: 10 }, () => follower.poll())
    release()
    const heads = await Promise.all(polls)
    expect(new Set(heads).size).toBe(1)
    expect(proxy.count('eth_getBlockByNumber')).toBeLessThanOrEqual(2)
  })

  test('of several processes go on from where the other is', async () => {
    const other = openAgain()
    const followers = [follow(), follow({ on: other })]
    for (let i = 0; i < 5; i++) {
      await mine(3)
      const heads = await Promise.all(followers.map((follower) => follower.poll()))
      expect(heads).toMatchObject([{ behind: 0n }, { behind: 0n }])
    }
    await other.close()
  })

  test('end when they are told to', async () => {
    const follower = follow()
    await follower.poll()
    await mine(3)
    const release = proxy.hold()
    const poll = follower.poll()
    const stopped = follower.stop()
    release()
    await stopped
    expect(await poll).toMatchObject({ behind: 3n })
    await expect(follower.poll()).rejects.toThrow('stopped')
  })

  test('of a new ledger begin at the last final block', async () => {
    await mine(10)
    const { number } = await follow({ depth: 4n }).poll()
    const { booked, seen } = await storedCursor()
    expect([booked, seen.number]).toEqual([number - 4n, number])
  })
})

test('the cursor remembers no more than fits into its note', () => {
  const hex = (number: number): Hex => `0x${number.toString(16).padStart(64, '0')}`
  let cursor = Cursor.startAt({ number: 0n, hash: hex(0) })
  for (let i = 1; i <= 300; i++) {
    const opened = Array.from({ length: 40 }, (_, n) => hex(i * 1_000 + n))
    const number = BigInt(i)
    cursor = Cursor.remember({ ...cursor, seen: { number, hash: hex(i) } }, [
      { number, hash: hex(i), opened, closed: [] },
    ])
    cursor = Cursor.remove(
      cursor,
      opened.map((channelId) => ({ channelId, at: number })),
    )
  }
  expect(Cursor.format(cursor).length).toBeLessThan(1_000_000)
  expect(Cursor.parse(Cursor.format(cursor))).toEqual(cursor)
  const opens = cursor.recent.flatMap(({ opened }) => opened)
  expect(opens.length).toBeGreaterThan(4_000)
  expect(opens.at(-1)).toBe(hex(300_039))
  expect(cursor.recent.length).toBeGreaterThan(256)
})

test('finality', () => {
  expect([31_337, 1_337, 137].map((chainId) => finalityOf(chainId).depth)).toEqual([0n, 0n, 64n])
  expect(finalityOf(137, 128n)).toEqual({ depth: 128n })
})
