/** Following the contract by processes that are killed. */
import { CloseAuthorization } from '@drain/core'
import { type Ledger, memoryLedger } from '@drain/provider'
import { describe, expect, test } from 'vitest'
import { type Alarm, alarms } from '../src/ledger/alarms.ts'
import * as Cursor from '../src/settle/Cursor.ts'
import {
  all,
  allAlarms,
  claim,
  expire,
  factsOf,
  fixture,
  follow,
  ledger,
  mine,
  reorganise,
  send,
  serve,
  sign,
  startFollowing,
  storedCursor,
} from './following.ts'

startFollowing()

describe('a process that dies', () => {
  /** Books to be compared: an alarm that was raised after a death may know less of what was before. */
  const withoutTexts = <books extends { alarms: Alarm[] }>(books: books) => ({
    ...books,
    alarms: books.alarms.map(({ message, ...alarm }) => alarm),
  })

  /** A ledger whose cursor can't be moved as long as it is told so: the process ends after the effects. */
  function dyingLedger() {
    const state = { isDying: false }
    const on: Ledger = {
      ...ledger,
      notebook: {
        read: ledger.notebook.read,
        write: (key, decide) =>
          ledger.notebook.write(key, (text, now) => {
            const decision = decide(text, now)
            if (key === 'cursor' && state.isDying && decision.write !== undefined) throw new Error('killed')
            return decision
          }),
      },
    }
    return { on, state }
  }

  /** A ledger whose user dies at its n-th write, just before or just after it. `isDead`: it came to that. */
  function mortal(on: Ledger, deathAt: number, isAfter: boolean) {
    let writes = 0
    const life = { isDead: false }
    const dying =
      <args extends unknown[], result>(write: (...args: args) => Promise<result>) =>
      async (...args: args): Promise<result> => {
        const isLast = ++writes === deathAt
        if (isLast) life.isDead = true
        if (isLast && !isAfter) throw new Error('killed')
        const result = await write(...args)
        if (isLast) throw new Error('killed')
        return result
      }
    const { freeze, markClosed, recordClaimed, beginClaim, endClaim, notebook } = on
    const write = dying(notebook.write) as typeof notebook.write
    const mortal: Ledger = {
      ...{ ...on, freeze: dying(freeze), markClosed: dying(markClosed), notebook: { ...notebook, write } },
      ...{ recordClaimed: dying(recordClaimed), beginClaim: dying(beginClaim), endClaim: dying(endClaim) },
    }
    return { mortal, life }
  }

  test('before or after any of its writes loses nothing and does nothing twice', async () => {
    await follow().poll()
    const cursor = Cursor.format(await storedCursor())
    const unknown = await fixture.open()
    const lost = await fixture.open()
    const owing = await fixture.open({ duration: 1_000n })
    const cooperative = await fixture.open()
    const served = await Promise.all(
      [unknown, owing, cooperative].map(async (channel) => ({
        channel: await factsOf(channel.id),
        voucher: await sign(channel, 400_000n),
        quote: 400_000n,
      })),
    )
    await claim(unknown, 300_000n, { ours: false })
    await claim(lost, 200_000n, { ours: false })
    const authorization = { channelId: cooperative.id, finalAmount: 400_000n }
    const signature = await fixture.provider.signTypedData(
      CloseAuthorization.typedData(authorization, fixture.chain.deployment),
    )
    await send(fixture.consumer, 'cooperativeClose', [cooperative.id, 400_000n, signature])
    await expire(owing)
    await send(fixture.consumer, 'close', [owing.id])

    const { chainId, deployment } = fixture.chain
    const identity = { chainId, contract: deployment.contract, provider: fixture.provider.address }

    /** What the books come to when the process dies at a write, and another one goes on. */
    async function booksAfter(deathAt: number, isAfter: boolean) {
      const now = () => 1_800_000_000_000
      const on = memoryLedger({ log: () => {}, now })(identity)
      await on.notebook.write('cursor', () => ({ result: undefined, write: cursor }))
      for (const request of served) {
        const reserved = await on.reserve(request)
        if (reserved.ok) await on.capture(reserved.reservationId, request.quote)
      }
      await on.freeze(await on.get(cooperative.id).then((state) => state ?? Promise.reject()))
      await on.finalize(cooperative.id)
      const { mortal: first, life } = mortal(on, deathAt, isAfter)
      const poll = follow({ on: first, clock: now }).poll()
      if (deathAt > 0) await poll.catch((error) => expect(error.message).toBe('killed'))
      else await poll
      if (life.isDead) await follow({ on, clock: now }).poll()
      const channels = await all(on.channels())
      const books = { channels, claims: await all(on.claims()), alarms: await all(alarms(on.notebook)) }
      return { books, isDead: life.isDead }
    }

    const { books } = await booksAfter(0, false)
    expect(books.channels).toMatchObject([
      { channelId: unknown.id, status: 'closing', claimed: 300_000n, alarm: false },
      { channelId: owing.id, status: 'closed', claimed: 0n },
      { channelId: cooperative.id, status: 'closed', claimed: 400_000n },
      { channelId: lost.id, status: 'closing', claimed: 200_000n, alarm: true },
    ])
    expect(books.claims).toMatchObject([{ channelId: cooperative.id, amount: 400_000n }])
    expect(books.alarms.map(({ code }) => code).sort()).toEqual([
      ...['closed_owing', 'overclaimed', 'unknown_claim', 'unknown_claim'],
    ])
    let deaths = 0
    for (const isAfter of [false, true]) {
      for (let deathAt = 1; ; deathAt += 1) {
        const end = await booksAfter(deathAt, isAfter)
        if (!end.isDead) break
        deaths += 1
        expect(withoutTexts(end.books)).toEqual(withoutTexts(books))
      }
    }
    expect(deaths).toBeGreaterThan(20)
  })

  test('in a reorganisation still freezes what it took away', async () => {
    const { on, state } = dyingLedger()
    await follow({ on, depth: 4n }).poll()
    const channel = await fixture.open()
    await serve(channel, 400_000n)
    await follow({ on, depth: 4n }).poll()
    await reorganise(3)
    state.isDying = true
    await expect(follow({ on, depth: 4n }).poll()).rejects.toThrow('killed')
    state.isDying = false
    await follow({ on, depth: 4n }).poll()
    await mine(4)
    await follow({ on, depth: 4n }).poll()
    expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing' })
    expect(await allAlarms()).toMatchObject([{ channelId: channel.id, code: 'channel_vanished' }])
  })
})
