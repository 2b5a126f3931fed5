/** Following the contract while its chain is reorganised. */
import { ChainUnavailableError } from '@drain/provider'
import { describe, expect, test } from 'vitest'
import {
  allAlarms,
  claim,
  factsOf,
  fixture,
  follow,
  forgotten,
  ledger,
  lines,
  mine,
  openOther,
  proxy,
  reorganise,
  rpc,
  send,
  serve,
  sign,
  startFollowing,
  storedCursor,
  tooLong,
} from './following.ts'

startFollowing()

describe('a reorganisation', () => {
  test('that removes an open freezes the channel, and is an alarm when it does not come back', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const [served, unserved] = [await fixture.open(), await fixture.open()]
    await serve(served, 400_000n)
    await follower.poll()
    await reorganise(4)
    await follower.poll()
    expect(await ledger.get(served.id)).toMatchObject({ status: 'closing' })
    expect(await ledger.get(unserved.id)).toBeUndefined()
    expect(forgotten).toEqual(expect.arrayContaining([served.id, unserved.id]))
    expect(await allAlarms()).toEqual([])
    expect((await storedCursor()).removed).toHaveLength(2)
    await mine(4)
    await follower.poll()
    expect(await allAlarms()).toMatchObject([{ channelId: served.id, code: 'channel_vanished' }])
    expect((await storedCursor()).removed).toEqual([])
  })

  test('after which the open comes again leaves the channel frozen, without an alarm', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await follower.poll()
    await reorganise(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    const again = await fixture.open() // the same counter, so the same id
    expect(again.id).toBe(channel.id)
    await follower.poll()
    expect((await storedCursor()).removed).toEqual([])
    await mine(5)
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    expect(await allAlarms()).toEqual([])
    expect(lines.join()).toContain('on chain again')
  })

  test('elsewhere freezes nothing', async () => {
    const follower = follow({ depth: 8n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await fixture.open({ to: fixture.stranger.address }) // empty blocks would come again as they were
    await follower.poll() // the block of the open and this head are remembered, and none between
    await reorganise(2)
    await follower.poll()
    expect(lines.join()).toContain('a reorganisation')
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'open' })
    expect([forgotten, (await storedCursor()).removed]).toEqual([[], []])
  })

  test('that removes a claim or a close that was not final leaves the books as they were', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const claimed = await fixture.open()
    const closed = await fixture.open()
    await serve(claimed, 400_000n)
    const { amount, nonce, signature } = await serve(closed, 400_000n)
    await mine(4)
    await follower.poll()
    await claim(claimed, 300_000n, { ours: false })
    await send(fixture.provider, 'claimAndClose', [closed.id, amount, nonce, amount, signature])
    await follower.poll()
    await reorganise(2)
    await mine(6)
    await follower.poll()
    expect(await ledger.get(claimed.id)).toMatchObject({ status: 'open', claimed: 0n })
    expect(await ledger.get(closed.id)).toMatchObject({ status: 'closing', claimed: 0n }) // for good
    expect(await factsOf(closed.id)).toMatchObject({ deposit: closed.deposit })
    expect(lines.join()).toContain('took back the close')
    expect(await allAlarms()).toEqual([])
  })

  test('whose channel another process goes on to serve freezes that too', async () => {
    const follower = follow({ depth: 4n })
    await follower.poll()
    const channel = await fixture.open()
    const [facts, voucher] = [await factsOf(channel.id), await sign(channel, 1n)]
    await follower.poll()
    await reorganise(2)
    await follower.poll()
    expect(await ledger.get(channel.id)).toBeUndefined()
    expect(await ledger.reserve({ channel: facts, voucher, quote: 1n })).toMatchObject({ ok: true })
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
  })

  test('in the middle of a round is noticed', async () => {
    const follower = follow({ depth: 20n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await follower.poll()
    for (let i = 0; i < 3; i++) await fixture.open({ to: fixture.stranger.address })
    const refuseLong = tooLong(2n)
    let isDue = true
    proxy.lie = async (question, ask) => {
      // Between the second window and the third.
      if (
        isDue &&
        question.method === 'eth_getBlockByNumber' &&
        proxy.answered('eth_getLogs') >= asked + 12
      ) {
        isDue = false
        await reorganise(8)
      }
      return refuseLong(question, ask)
    }
    const asked = proxy.answered('eth_getLogs')
    await follower.poll().catch((error) => expect(error).toBeInstanceOf(ChainUnavailableError))
    expect(isDue).toBe(false)
    proxy.lie = undefined
    await follower.poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
  })

  test('deeper than finality is said, and what comes after is followed', async () => {
    const follower = follow({ depth: 1n })
    await follower.poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await mine(3)
    await follower.poll()
    await reorganise(5)
    await follower.poll()
    expect(lines.join()).toContain('deeper')
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    await mine(1)
    await follower.poll()
    expect(await allAlarms()).toMatchObject([{ channelId: channel.id, code: 'channel_vanished' }])
  })

  test('that nothing remembered survives is read again from before', async () => {
    const follower = follow({ depth: 2n })
    await follower.poll()
    const snapshot = await rpc('evm_snapshot', [])
    const channel = await fixture.open()
    await mine(30)
    // Only its own, newest blocks are remembered.
    const other = openOther()
    const late = follow({ depth: 2n, on: other })
    await late.poll()
    await rpc('evm_revert', [snapshot])
    await mine(60)
    const { number } = await late.poll()
    const head = await late.poll()
    expect(head).toMatchObject({ number, behind: 0n })
    await follower.poll()
    expect(await ledger.get(channel.id)).toBeUndefined()
    await other.close()
  })
})
