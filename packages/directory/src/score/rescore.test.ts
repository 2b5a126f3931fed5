import { Usdc } from '@drain/core'
import type { Address } from 'viem'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { databases } from '../../test/databases.ts'
import { recordProbe } from '../health/recordProbe.ts'
import { createTestRooms, prober, type TestRooms } from '../health/rooms.fixture.ts'
import { updateHealth } from '../health/updateHealth.ts'
import { rescore } from './rescore.ts'
import { startRescorer } from './startRescorer.ts'

const addressOf = (number: number) => `0x${number.toString(16).padStart(40, '0')}` as Address

describe.each(databases)('scores on $name', ({ use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const open = use()
    let rooms: TestRooms
    let channels = 0

    beforeEach(async () => {
      rooms = createTestRooms(await open())
      for (let number = 1; number <= 3; number++) {
        await rooms.add({
          ...{
            id: `p${number}`,
            apiUrl: `https://p${number}-${number}.example${number}`,
            owner: addressOf(number),
          },
          offer: {
            ...{ providerAddress: addressOf(number), chainId: 31_337, contract: null, docs: '' },
            models: [{ id: 'small', name: 'Small', inputPer1kTokens: '1', outputPer1kTokens: null }],
          },
        })
      }
    })
    afterEach(() => rooms.database.close())

    async function pay(consumer: string, provider: number, usdc: string, chainId = 31_337): Promise<string> {
      const channelId = `0x${(++channels).toString(16).padStart(64, '0')}`
      await rooms.database.run(
        'INSERT INTO payments VALUES ($1, $2, $3, $4, $5, $6, $7, 1)',
        ...[chainId, '0xcc', channelId, consumer, addressOf(provider), Usdc.parse(usdc), Usdc.parse(usdc)],
      )
      return channelId
    }
    async function report(
      consumer: string,
      provider: number,
      channelId: string,
      outcome = 'success',
      chainId = 31_337,
    ) {
      await rooms.database.run(
        `INSERT INTO feedback (provider_id, channel_id, consumer, chain_id, outcome, protocol, reason, issued_at, received_at,
           hidden, shown) VALUES ($1, $2, $3, $6, $4, 'drain', '', $5, $5, 0, 1)`,
        ...[`p${provider}`, channelId, consumer, outcome, rooms.clock.now, chainId],
      )
    }
    const parts = async (id: string) => {
      const { praised, blamed } = (await rooms.record(id)).scoreParts
      return [Usdc.format(BigInt(praised)), Usdc.format(BigInt(blamed))]
    }

    test('add up many channels of many consumers', async () => {
      for (const consumer of ['0xa', '0xb']) {
        for (let count = 0; count < 3; count++) await report(consumer, 1, await pay(consumer, 1, '0.25'))
        await pay(consumer, 2, '0.5')
      }
      await report('0xc', 1, await pay('0xc', 1, '2'), 'failure')
      expect(await rescore(rooms, ['p1', 'p2', 'p3', 'nobody'])).toEqual(['p1'])
      // Each has praised with 0.75 and paid 0.5 to others.
      expect(await parts('p1')).toEqual(['1', '2'])
      expect((await rooms.record('p1')).scoreParts.feedback).toBeCloseTo(1.5 / 4, 10)
    })

    test('are not moved by money of another chain, which may be one for tests', async () => {
      await report('0xa', 1, await pay('0xa', 1, '9', 80_002), 'success', 80_002)
      await report('0xb', 1, await pay('0xb', 1, '9', 80_002), 'failure', 80_002)
      // Paid to others with what is worth nothing.
      await report('0xc', 1, await pay('0xc', 1, '1'))
      await pay('0xc', 2, '9', 80_002)
      await pay('0xa', 2, '9')
      await rescore(rooms, ['p1'])
      expect(await parts('p1')).toEqual(['0', '0'])
    })

    test('keep what was said against who is paid, whichever listing it was about', async () => {
      const { offer, owner } = await rooms.record('p1')
      await report('0xa', 1, await pay('0xa', 1, '2'), 'failure')
      await report('0xb', 1, await pay('0xb', 1, '2'))
      await pay('0xb', 2, '2')
      await rooms.providers.update('p1', () => ({ state: 'withdrawn' }))
      // Nor does it help that its server names another chain.
      const elsewhere = { ...offer, chainId: 80_002 }
      await rooms.add({ id: 'anew', apiUrl: 'https://anew.example9', owner, offer: elsewhere })
      await rescore(rooms, ['anew', 'p2'])
      expect(await parts('anew')).toEqual(['0', '2'])
      expect(await parts('p2')).toEqual(['0', '0'])
    })

    test('are written only where they changed', async () => {
      await report('0xa', 1, await pay('0xa', 1, '1'), 'failure')
      expect(await rescore(rooms, ['p1', 'p2'])).toEqual(['p1'])
      const { revision } = await rooms.record('p1')
      expect(await rescore(rooms, ['p1', 'p2'])).toEqual([])
      expect((await rooms.record('p1')).revision).toBe(revision)
    })

    test('of probes keep what reports say, and the other way round', async () => {
      await report('0xa', 1, await pay('0xa', 1, '1'), 'failure')
      await rescore(rooms, ['p1'])
      await recordProbe(rooms.database, {
        ...{ providerId: 'p1', prober: prober.address.toLowerCase(), at: rooms.clock.now },
        ...{ reached: true, correct: true, latencyMs: 100 },
      })
      await updateHealth(rooms, 'p1')
      const { scoreParts } = await rooms.record('p1')
      expect(scoreParts).toMatchObject({
        reachability: 7 / 13,
        correctness: 7 / 13,
        blamed: '1000000',
        feedback: 0.25,
      })
      expect(await rescore(rooms, ['p1'])).toEqual([])
    })

    test('of all are looked at again and again, in pieces; those that changed come first', async () => {
      for (let number = 100; number < 230; number++)
        await rooms.add({ id: `z${number}`, apiUrl: `https://z${number}.example`, owner: addressOf(number) })
      const rescorer = startRescorer(rooms, { everyMs: 1e8 })
      await rescorer.round() // of the first fifty
      await report('0xa', 3, await pay('0xa', 3, '1'), 'failure')
      await rooms.database.run("INSERT INTO rescores VALUES ('p3')")
      expect(await rescorer.round()).toBe(1)
      expect(await parts('p3')).toEqual(['0', '1'])
      expect(await rooms.database.all('SELECT * FROM rescores')).toEqual([])
      // Without a word about it: found in the next pass.
      await report('0xa', 2, await pay('0xa', 2, '1'), 'failure')
      expect(await rescorer.round()).toBe(0)
      expect(await rescorer.round()).toBe(1)
      expect(await parts('p2')).toEqual(['0', '1'])
      await rescorer.stop()
    })
  })
})
