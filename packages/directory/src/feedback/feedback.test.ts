import { Feedback, Usdc } from '@drain/core'
import type { Hex, LocalAccount } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { databases } from '../../test/databases.ts'
import { startChannels, type TestChannels } from '../chain/channels.fixture.ts'
import { followPayments } from '../chain/followPayments.ts'
import { callable, createTestRooms } from '../health/rooms.fixture.ts'
import { startRescorer } from '../score/startRescorer.ts'
import type { Database } from '../store/Database.ts'
import { cleanReason } from './cleanReason.ts'
import { feedbackRoutes } from './feedbackRoutes.ts'
import { pruneFeedback } from './pruneFeedback.ts'

let channels: TestChannels
beforeAll(async () => {
  channels = await startChannels()
})
afterAll(() => channels?.close())

/** A market with the two providers `one` and `two`, and what may be done in it. */
async function createMarket(database: Database) {
  const { chain } = channels
  const [, one, two, stranger] = chain.accounts
  // The chain is the same for all tests: what this wallet has paid is not.
  const consumer = privateKeyToAccount(generatePrivateKey())
  await chain.testClient.setBalance({ address: consumer.address, value: 10n ** 18n })
  await chain.fund(consumer.address, '100')
  const rooms = createTestRooms(database, { chains: [channels.settings] })
  rooms.clock.now = Math.floor(Date.now() / 1_000) * 1_000
  for (const [id, { address }, port] of [
    ['one', one, 3_001],
    ['two', two, 3_002],
  ] as const) {
    await rooms.add({
      ...{ id, apiUrl: `http://127.0.0.1:${port}`, owner: address.toLowerCase() },
      offer: {
        ...{ providerAddress: address, chainId: 31_337, contract: null, docs: '' },
        models: [{ id: 'small', name: 'Small', inputPer1kTokens: '0.001', outputPer1kTokens: null }],
      },
    })
  }
  await rooms.snapshot.refresh()
  const call = callable(rooms, feedbackRoutes(rooms))
  const follower = followPayments({
    chain: channels.client,
    database,
    log: rooms.log,
    confirmations: 0,
    from: 0n,
  })
  const rescorer = startRescorer(rooms, { everyMs: 1e8 })

  return {
    ...{ rooms, call, follower, rescorer, consumer, one, two, stranger },
    async sign(changes: Partial<Feedback.Unsigned> = {}, from: LocalAccount = consumer, chainId = 31_337) {
      const unsigned: Feedback.Unsigned = {
        ...{ providerId: 'one', outcome: 'success', protocol: 'drain', reason: '', channelId: undefined },
        issuedAt: BigInt(rooms.clock.now / 1_000),
        ...changes,
      }
      const signature = await from.signTypedData(Feedback.typedData(unsigned, { chainId }))
      return Feedback.toJson({ ...unsigned, consumer: from.address, signature })
    },
    send: (body: object) => call('POST', '/api/feedback', body),
    list: async (id = 'one') => (await call('GET', `/api/directory/providers/${id}/feedback`)).json.feedback,
    later(seconds = 1) {
      rooms.clock.now += seconds * 1_000
    },
    async paidChannel(amount: string, to: LocalAccount = one, from: LocalAccount = consumer): Promise<Hex> {
      const channelId = await channels.open({ amount, to, from })
      await channels.claim(channelId, amount, { to, from })
      return channelId
    },
    /** Follows the chain, and computes scores anew. */
    async settle() {
      await follower.round()
      await rescorer.round()
    },
    async weights(id = 'one') {
      const { praised, blamed } = (await rooms.record(id)).scoreParts
      return { praised: Usdc.format(BigInt(praised)), blamed: Usdc.format(BigInt(blamed)) }
    },
    async close() {
      await rescorer.stop()
      await follower.stop()
      await database.close()
    },
  }
}
type Market = Awaited<ReturnType<typeof createMarket>>

describe.each(databases)('feedback on $name', ({ use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const open = use()
    let market: Market

    beforeEach(async () => {
      market = await createMarket(await open())
      return () => market.close()
    })

    test('counts once the chain shows that the channel has paid', async () => {
      const channelId = await channels.open({ amount: '2', to: market.one, from: market.consumer })
      expect(
        await market.send(await market.sign({ outcome: 'failure', channelId, reason: 'timeout' })),
      ).toMatchObject({
        status: 200,
        json: {
          ok: true,
          counted: false,
          note: expect.stringContaining('as soon as the chain shows its channel'),
        },
      })
      await market.settle()
      expect(await market.weights()).toEqual({ praised: '0', blamed: '0' })
      await channels.claim(channelId, '1.5', { to: market.one, from: market.consumer })
      await market.settle()
      expect(await market.weights()).toEqual({ praised: '0', blamed: '1.5' })
      const [shown] = await market.list()
      expect(shown).toMatchObject({ outcome: 'failure', reason: 'timeout', paid: '1.5' })
      expect(shown.consumer).toMatch(/^0x[0-9a-f]{4}…[0-9a-f]{4}$/)
      market.later()
      expect((await market.send(await market.sign({ outcome: 'failure', channelId }))).json).toMatchObject({
        counted: true,
        note: 'It counts with the 1.500000 USDC that its channel has paid.',
      })
      expect((await market.rooms.record('one')).score).toBeLessThan(0.3)
    })

    test('praise counts up to what the same wallet paid to others', async () => {
      const [mine, other] = [await market.paidChannel('3'), await market.paidChannel('0.5', market.two)]
      await market.follower.round()
      await market.send(await market.sign({ channelId: mine }))
      await market.settle()
      expect(await market.weights()).toEqual({ praised: '0.5', blamed: '0' })
      await market.send(await market.sign({ channelId: other, providerId: 'two' }))
      await market.settle()
      expect(await market.weights('two')).toEqual({ praised: '0.5', blamed: '0' })
      expect((await market.rooms.record('two')).scoreParts.feedback).toBeCloseTo(1 / 1.5, 5)
    })

    test('of a channel counts once: the latest, about one provider', async () => {
      // Two listings of one owner, and a payment to it.
      const { address } = market.one
      await market.rooms.add({
        ...{ id: 'twin', apiUrl: 'http://127.0.0.1:3003', owner: address.toLowerCase() },
        offer: (await market.rooms.record('one')).offer,
      })
      const channelId = await market.paidChannel('1')
      await market.paidChannel('5', market.two)
      await market.follower.round()
      await market.send(await market.sign({ channelId }))
      market.later()
      await market.send(await market.sign({ channelId, providerId: 'twin' }))
      await market.settle()
      expect(await market.weights('one')).toEqual({ praised: '0', blamed: '0' })
      expect(await market.weights('twin')).toEqual({ praised: '1', blamed: '0' })
      market.later()
      await market.send(await market.sign({ channelId, providerId: 'twin', outcome: 'failure' }))
      await market.settle()
      expect(await market.weights('twin')).toEqual({ praised: '0', blamed: '1' })
    })

    test('that was sent is not taken again, nor an older one', async () => {
      const channelId = await market.paidChannel('1')
      await market.follower.round()
      const first = await market.sign({ channelId })
      market.later()
      const second = await market.sign({ channelId, outcome: 'failure' })
      expect((await market.send(second)).status).toBe(200)
      expect(await market.send(second)).toMatchObject({ status: 409, json: { code: 'report_used' } })
      expect((await market.send(first)).status).toBe(409)
      expect(await market.list()).toHaveLength(1)
    })

    test('twenty times at once is one', async () => {
      const channelId = await market.paidChannel('1')
      await market.follower.round()
      const report = await market.sign({ channelId })
      const answers = await Promise.all(Array.from({ length: 20 }, () => market.send(report)))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
      expect(await market.list()).toHaveLength(1)
    })

    test('about a channel of others is refused, or forgotten when the chain shows it', async () => {
      const known = await market.paidChannel('1')
      await market.follower.round()
      const stolen = await market.sign({ channelId: known }, market.stranger)
      expect(await market.send(stolen)).toMatchObject({ status: 409, json: { code: 'other_channel' } })
      const misplaced = await market.sign({ channelId: known, providerId: 'two' })
      expect(await market.send(misplaced)).toMatchObject({ status: 409, json: { code: 'other_channel' } })

      const unknown = await market.paidChannel('1')
      expect((await market.send(await market.sign({ channelId: unknown }, market.stranger))).status).toBe(200)
      expect((await market.send(await market.sign({ channelId: unknown, providerId: 'two' }))).status).toBe(
        200,
      )
      await market.settle()
      expect(await market.list('one')).toEqual([])
      expect(await market.list('two')).toMatchObject([{ paid: null }])
      expect(await market.weights('two')).toEqual({ praised: '0', blamed: '0' })
    })

    test('without a channel is shown and not counted, one of each wallet', async () => {
      const report = await market.sign({ protocol: 'mpp', reason: 'fine' })
      expect((await market.send(report)).json).toEqual({
        ...{ ok: true, counted: false },
        note: 'It names no channel: it is shown and not counted.',
      })
      market.later()
      await market.send(await market.sign({ protocol: 'mpp', reason: 'still fine' }))
      await market.settle()
      expect(await market.list()).toMatchObject([{ reason: 'still fine', paid: null }])
      expect(await market.weights()).toEqual({ praised: '0', blamed: '0' })
    })

    test('older than 90 days counts no more, and is forgotten in the end', async () => {
      const channelId = await market.paidChannel('1')
      await market.follower.round()
      await market.send(await market.sign({ channelId, outcome: 'failure' }))
      await market.settle()
      expect(await market.weights()).toMatchObject({ blamed: '1' })
      market.later(91 * 86_400)
      await market.rescorer.round()
      expect(await market.weights()).toMatchObject({ blamed: '0' })
      expect(await market.list()).toHaveLength(1)
      await pruneFeedback(market.rooms.database, market.rooms.clock.now + 100 * 86_400_000)
      expect(await market.list()).toEqual([])
    })

    test('that an operator took out neither shows nor counts, also when it is said again', async () => {
      const channelId = await market.paidChannel('1')
      await market.follower.round()
      await market.send(await market.sign({ channelId, outcome: 'failure' }))
      await market.rooms.database.run('UPDATE feedback SET hidden = 1')
      market.later()
      expect((await market.send(await market.sign({ channelId, outcome: 'failure' }))).json.counted).toBe(
        false,
      )
      await market.settle()
      expect(await market.list()).toEqual([])
      expect(await market.weights()).toMatchObject({ blamed: '0' })
    })

    test('of one wallet without channels is bounded, and keeps none about channels out', async () => {
      for (let index = 1; index <= 22; index++) {
        const providerId = `mpp${index}`
        await market.rooms.add({ id: providerId, apiUrl: `https://mpp${index}.example`, protocol: 'mpp' })
        market.later(60)
        expect((await market.send(await market.sign({ providerId, protocol: 'mpp' }))).status).toBe(200)
      }
      expect(await market.list('mpp2')).toEqual([])
      expect(await market.list('mpp3')).toHaveLength(1)
      const channelId: Hex = `0x${'ab'.repeat(32)}`
      expect((await market.send(await market.sign({ channelId }))).status).toBe(200)
      expect(await market.list('mpp3')).toHaveLength(1)
    })

    test('of one wallet about channels that nobody sees is bounded', async () => {
      const send = async (index: number) => {
        market.later(60) // A network has its own bound, by the minute.
        const channelId: Hex = `0x${index.toString(16).padStart(64, '0')}`
        return (await market.send(await market.sign({ channelId }))).status
      }
      for (let index = 1; index <= 20; index++) expect(await send(index)).toBe(200)
      expect(await send(21)).toBe(429)
      await pruneFeedback(market.rooms.database, market.rooms.clock.now + 15 * 86_400_000)
      expect(await send(22)).toBe(200)
    })
  })
})

describe('refused is feedback', () => {
  let market: Market
  beforeEach(async () => {
    const [sqlite] = databases
    market = await createMarket(await (sqlite?.use()() as Promise<Database>))
    return () => market.close()
  })

  test.each(['signature', 'consumer', 'issuedAt'])('without %s', async (field) => {
    const { [field]: _, ...rest } = await market.sign()
    expect(await market.send(rest)).toMatchObject({ status: 401, json: { code: 'signature_missing' } })
  })

  test.each<[string, Record<string, string>]>([
    ['provider', { providerId: 'two' }],
    ['outcome', { outcome: 'failure' }],
    ['protocol', { protocol: 'mpp' }],
    ['reason', { reason: 'bad' }],
    ['channel', { channelId: `0x${'ab'.repeat(32)}` }],
    ['consumer', { consumer: privateKeyToAccount(`0x${'77'.repeat(32)}`).address }],
  ])('whose %s was changed', async (_, change) => {
    const signed = await market.sign()
    expect(await market.send({ ...signed, ...change })).toMatchObject({
      status: 401,
      json: { code: 'signature_invalid' },
    })
  })

  test('signed for a chain that the directory doesn’t know', async () => {
    expect((await market.send(await market.sign({}, market.consumer, 1))).status).toBe(401)
  })

  test.each([
    ['long ago', -601],
    ['in the future', 601],
  ])('that was signed %s', async (_, seconds) => {
    const issuedAt = BigInt(market.rooms.clock.now / 1_000 + seconds)
    expect(await market.send(await market.sign({ issuedAt }))).toMatchObject({
      status: 401,
      json: { code: 'signature_expired' },
    })
  })

  test('about a provider that nobody knows', async () => {
    expect((await market.send(await market.sign({ providerId: 'nobody' }))).status).toBe(404)
  })

  test.each<[string, object]>([
    ['an unknown field', { extra: 1 }],
    ['an outcome that isn’t one', { outcome: 'great' }],
    ['a channel that isn’t one', { channelId: '0x12' }],
    ['a reason that is too long', { reason: 'x'.repeat(501) }],
    ['a time that is no number', { issuedAt: '1e9' }],
  ])('with %s', async (_, change) => {
    expect((await market.send({ ...(await market.sign()), ...change })).status).toBe(400)
  })

  test('in masses, of one network', async () => {
    const report = await market.sign()
    const answers = []
    for (let index = 0; index < 25; index++) answers.push((await market.send(report)).status)
    expect(answers.filter((status) => status === 429)).toHaveLength(5)
    market.later(60)
    expect((await market.send(report)).status).toBe(409)
  })
})

test('a stranger’s words are kept as one line without what can’t be seen', () => {
  expect(cleanReason('  a\u0000b\n\n<script>\u202Eevil\u200B \t c  ')).toBe('a b <script> evil c')
  expect(cleanReason('\u{1F600}'.repeat(600))).toBe('\u{1F600}'.repeat(500))
  expect(cleanReason('\u0007')).toBe('')
})
