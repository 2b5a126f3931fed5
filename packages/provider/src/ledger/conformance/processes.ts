import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, test } from 'vitest'
import { aChannel, aVoucher, hammered } from '../fixtures.ts'
import type { Ledger } from '../Ledger.ts'
import type { LastingStore } from './durability.ts'
import { allOf, type Clock, mustReserve } from './Setting.ts'

/** What several processes do to one store, and what is left when they are killed. */
export function processes(store: LastingStore): void {
  let opened: Ledger[] = []
  let children: ChildProcess[] = []

  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    children = []
    for (const ledger of opened) await ledger.close()
    opened = []
  })

  /** A ledger of this process, on the same clock as its children, save for what it is put forward. */
  async function start(place: string) {
    let ahead = 0
    const clock: Clock = {
      now: () => Date.now() + ahead,
      offset: () => ahead,
      advance(milliseconds) {
        ahead += milliseconds
      },
    }
    const ledger = await store.open(place, { clock, log: () => {} })
    opened.push(ledger)
    return { ledger, clock }
  }

  /** Starts a child on a job. `ended`: what it printed until its end, which comes by force after `killAfter` lines. */
  function hammer(job: string, place: string, index = 0, of = 1, killAfter?: number) {
    const child = fork(
      new URL('../hammer.child.ts', import.meta.url),
      [job, JSON.stringify(store.inChild(place)), String(index), String(of)],
      { execArgv: [], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
    )
    children.push(child)
    const printed: string[] = []
    const output = createInterface({ input: child.stdout ?? process.stdin })
    output.on('line', (line) => {
      printed.push(line)
      if (printed.length === killAfter) child.kill('SIGKILL')
    })
    const ended = Promise.all([once(child, 'exit'), once(output, 'close')]).then(([[exitCode]]) => ({
      lines: printed,
      exitCode: exitCode as number | null,
    }))
    const tooEarly = ended.then(() => {
      throw new Error('ended before it began')
    })
    tooEarly.catch(() => {})
    const ready = Promise.race([once(child, 'message'), tooEarly])
    const line = () => Promise.race([once(output, 'line').then(([line]) => String(line)), tooEarly])
    return { child, ready, line, ended }
  }

  /** Lets `count` children loose at the same time, and returns what all of them printed. */
  async function together(job: string, place: string, count: number): Promise<string[]> {
    const hammers = Array.from({ length: count }, (_, index) => hammer(job, place, index, count))
    await Promise.all(hammers.map(({ ready }) => ready))
    for (const { child } of hammers) child.send('begin')
    const results = await Promise.all(hammers.map(({ ended }) => ended))
    expect(results.map(({ exitCode }) => exitCode)).toEqual(hammers.map(() => 0))
    return results.flatMap(({ lines }) => lines)
  }

  describe('processes', () => {
    test('three of them on one channel serve its deposit to the unit', async () => {
      const place = await store.place() // which they also make, at the same time
      const { channelId, deposit } = hammered(0)
      const nonces = await together('spend', place, 3)
      expect(nonces).toHaveLength(Number(deposit))
      expect(new Set(nonces).size).toBe(nonces.length)
      const { ledger } = await start(place)
      expect(await ledger.get(channelId)).toMatchObject({ charged: deposit, reserved: 0n, requests: deposit })
    })

    test('1,020 requests at once from three of them, on a channel for 500', async () => {
      const place = await store.place()
      const { channelId, deposit } = hammered(5)
      const nonces = await together('rush', place, 3)
      expect(nonces).toHaveLength(Number(deposit))
      expect(new Set(nonces).size).toBe(nonces.length)
      const { ledger } = await start(place)
      expect(await ledger.get(channelId)).toMatchObject({ authorized: deposit, reserved: deposit })
      for (const nonce of nonces)
        expect(await ledger.capture(`${channelId}:${BigInt(nonce)}`, 1n)).toMatchObject({ captured: 1n })
      expect(await ledger.get(channelId)).toMatchObject({ charged: deposit, reserved: 0n })
    })

    test('killed under load, keeps every nonce and reservation that it acknowledged', async () => {
      const place = await store.place()
      const acknowledged = new Map([1, 2, 3, 4].map((lane) => [lane, [] as bigint[]]))
      const moments = [1, 37, 250].map((most) => 1 + Math.floor(Math.random() * most))
      for (const killAfter of moments) {
        const { child, ready, ended } = hammer('load', place, 0, 1, killAfter)
        await ready
        child.send('begin')
        const { lines, exitCode } = await ended
        expect(exitCode).toBeNull()
        expect(lines.length).toBeGreaterThanOrEqual(killAfter)
        for (const line of lines) {
          const [lane, nonce] = line.split(' ')
          acknowledged.get(Number(lane))?.push(BigInt(nonce ?? ''))
        }
      }
      const { ledger } = await start(place)
      for (const [lane, nonces] of acknowledged) {
        const channel = hammered(lane)
        const state = await ledger.get(channel.channelId)
        const served = BigInt(nonces.length)
        const context = `killed after ${moments.join(', ')}`
        expect(state?.charged ?? 0n, context).toBeGreaterThanOrEqual(served)
        // The highest voucher that was served is there to claim with.
        const highest = nonces.reduce((a, b) => (a > b ? a : b), -1n)
        expect(state?.authorized ?? 0n, context).toBeGreaterThanOrEqual(highest + 1n)
        for (const nonce of nonces.filter((nonce) => nonce + 1024n > (state?.nonce ?? 0n))) {
          const replay = { channel, voucher: aVoucher(channel.deposit, nonce), quote: 1n }
          expect(await ledger.reserve(replay), context).toMatchObject({ code: 'invalid_nonce' })
        }
        const fresh = { channel, voucher: aVoucher(channel.deposit, (state?.nonce ?? 0n) + 1n), quote: 1n }
        expect(await ledger.reserve(fresh), context).toMatchObject({ ok: true })
      }
    })

    test('count on one note, and lose none', async () => {
      const place = await store.place()
      const counted = await together('count', place, 3)
      expect(counted.map(Number).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 240 }, (_, index) => index),
      )
      const { ledger } = await start(place)
      expect(await allOf(ledger.notebook.read(''))).toEqual([{ key: 'count', text: '240' }])
    })

    test('take keys that only one of them can have', async () => {
      const place = await store.place()
      const taken = await together('take', place, 3)
      const { ledger } = await start(place)
      const notes = await allOf(ledger.notebook.read('tx/'))
      expect(notes).toHaveLength(60)
      expect(taken.sort()).toEqual(notes.map(({ key, text }) => `${key} ${text}`))
    })

    test('make a ledger of version 2 one of today, at the same time', async () => {
      const place = await store.place()
      const { ledger } = await start(place)
      const channel = aChannel()
      await ledger.raise({ channel, voucher: aVoucher(1n, 1n) })
      await ledger.close()
      await store.toVersion2(place)
      expect(await together('count', place, 4)).toHaveLength(320)
      const reopened = await start(place)
      expect(await allOf(reopened.ledger.notebook.read(''))).toEqual([{ key: 'count', text: '320' }])
      expect(await reopened.ledger.get(channel.channelId)).toMatchObject({ status: 'open', authorized: 1n })
    })

    test('killed under load, keep every note that they acknowledged', async () => {
      const place = await store.place()
      const { child, ready, ended } = hammer('note', place, 0, 1, 1 + Math.floor(Math.random() * 200))
      await ready
      child.send('begin')
      const { lines, exitCode } = await ended
      expect(exitCode).toBeNull()
      const { ledger } = await start(place)
      const notes = new Map<string, string>()
      for await (const { key, text } of ledger.notebook.read('')) notes.set(key, text)
      for (const key of lines) expect(notes.get(key)).toBe(`text of ${key}`)
      expect(lines.length).toBeGreaterThan(0)
    })

    test('the reservation of a dead one runs out, and what it held is free', async () => {
      const place = await store.place()
      const { child, ready, line, ended } = hammer('linger', place)
      await ready
      const reserved = line()
      child.send('begin')
      expect(await reserved).toBe('reserved')
      child.kill('SIGKILL')
      await ended
      const { ledger, clock } = await start(place)
      const channel = hammered(6)
      const all = (nonce: bigint) =>
        ledger.reserve({ channel, voucher: aVoucher(channel.deposit, nonce), quote: channel.deposit })
      expect(await all(1n)).toMatchObject({ code: 'insufficient_funds', state: { reserved: 500n } })
      clock.advance(600_000)
      expect(await all(2n)).toMatchObject({ ok: true, state: { reserved: 1000n } })
    })

    test.each([
      ['takes what nobody else has', 300n, '500'],
      ['takes the rest', 800n, '200'],
      ['takes nothing', 1000n, '0'],
    ])('a slow one whose reservation ran out %s', async (_, spent, captured) => {
      const place = await store.place()
      const { child, ready, line, ended } = hammer('linger', place)
      await ready
      const reserved = line()
      child.send('begin')
      expect(await reserved).toBe('reserved')
      const { ledger, clock } = await start(place)
      const channel = hammered(6)
      clock.advance(600_000)
      const voucher = aVoucher(channel.deposit, 1n)
      const mine = await mustReserve(ledger, { channel, voucher, quote: spent })
      child.send('capture')
      const { lines, exitCode } = await ended
      expect({ lines, exitCode }).toEqual({ lines: ['reserved', captured], exitCode: 0 })
      await ledger.capture(mine.reservationId, spent)
      expect(await ledger.get(channel.channelId)).toMatchObject({
        charged: spent + BigInt(captured),
        reserved: 0n,
      })
    })
  })
}
