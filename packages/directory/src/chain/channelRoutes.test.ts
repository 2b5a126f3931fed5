import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { callable, createTestRooms, type TestRooms } from '../health/rooms.fixture.ts'
import { openSqlite } from '../store/sqlite.ts'
import { channelRoutes } from './channelRoutes.ts'
import { createChannelStatus } from './channelStatus.ts'
import { startChannels, type TestChannels } from './channels.fixture.ts'
import { followPayments } from './followPayments.ts'

let channels: TestChannels
let rooms: TestRooms
let call: ReturnType<typeof callable>

beforeAll(async () => {
  channels = await startChannels()
})
afterAll(() => channels?.close())

beforeEach(async () => {
  rooms = createTestRooms(await openSqlite(':memory:'), { chains: [channels.settings] })
  rooms.clock.now = Date.now()
  call = callable(rooms, channelRoutes(rooms))
  return () => rooms.database.close()
})

const status = (channelId: string, rest = '') =>
  call('GET', `/api/channels/status?channelId=${channelId}${rest}`)
const later = () => {
  rooms.clock.now += 6_000
}

describe('the status of a channel', () => {
  test('is open with what was claimed of it, then closed', async () => {
    const channelId = await channels.open({ amount: '2.5' })
    const { contract } = channels.client.deployment
    const parties = { consumer: channels.consumer.address, provider: channels.provider.address }
    const opened = await status(channelId, '&chainId=31337')
    expect(opened).toMatchObject({
      status: 200,
      json: { channelId, chainId: 31_337, contract, ...parties, state: 'open', deposit: '2.5', claimed: '0' },
    })
    const { expiry, expiresAt } = opened.json
    expect(new Date(expiresAt).getTime()).toBe(expiry * 1_000)

    await channels.claim(channelId, '0.75')
    later()
    expect(await status(channelId.toUpperCase().replace('0X', '0x'))).toMatchObject({
      json: { channelId, state: 'open', claimed: '0.75', remaining: '1.75' },
    })

    await channels.claimAndClose(channelId, '1')
    later()
    // The contract keeps nothing of it: what is known comes from the events.
    expect((await status(channelId)).status).toBe(404)
    const { client: chain } = channels
    await followPayments({ chain, ...rooms, confirmations: 0, from: 0n }).round()
    later()
    expect((await status(channelId)).json).toEqual({
      ...{
        channelId,
        chainId: 31_337,
        contract,
        state: 'closed',
        deposit: '2.5',
        claimed: '1',
        remaining: '0',
      },
      consumer: parties.consumer.toLowerCase(),
      provider: parties.provider.toLowerCase(),
      ...{ expiry: null, expiresAt: null },
    })
  })

  test('is expired by the later of our clock and the chain’s', async () => {
    const channelId = await channels.open({ duration: 600n })
    expect((await status(channelId)).json.state).toBe('open')
    rooms.clock.now += 700_000
    expect((await status(channelId)).json.state).toBe('expired')
  })

  test.each([
    ['an unknown one', `0x${'ab'.repeat(32)}`, '', 404],
    ['no id', '0x12', '', 400],
    ['another chain', `0x${'ab'.repeat(32)}`, '&chainId=1', 400],
    ['no chain', `0x${'ab'.repeat(32)}`, '&chainId=0x1', 400],
    ['an unknown parameter', `0x${'ab'.repeat(32)}`, '&x=1', 400],
  ])('of %s is refused', async (_, channelId, rest, code) => {
    expect((await status(channelId, rest)).status).toBe(code)
  })
})

describe('asking the node', () => {
  /** A status that counts what it asks. */
  function counting() {
    let asked = 0
    const { client, deployment } = channels.client
    const counted = {
      getBlock: () => client.getBlock(),
      readContract: (call: never) => {
        asked += 1
        return client.readContract(call)
      },
    } as never
    const { database, now } = rooms
    const channelStatus = createChannelStatus({ chains: [{ deployment, client: counted }], database, now })
    return { channelStatus, asked: () => asked }
  }

  test('is done once for many who ask, and again some seconds later', async () => {
    const channelId = await channels.open()
    const { channelStatus, asked } = counting()
    await Promise.all(Array.from({ length: 100 }, () => channelStatus(channelId)))
    expect(asked()).toBe(1)
    later()
    await channelStatus(channelId)
    expect(asked()).toBe(2)
  })

  test('is bounded: invented ids are no lever', async () => {
    const { channelStatus, asked } = counting()
    const ids = Array.from(
      { length: 100 },
      (_, index) => `0x${index.toString(16).padStart(64, '0')}` as const,
    )
    const results = await Promise.allSettled(ids.map((id) => channelStatus(id)))
    expect(asked()).toBeLessThanOrEqual(20)
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(80)
  })

  test('that doesn’t answer is said, and not remembered', async () => {
    const broken = { ...channels.settings, rpcUrl: 'http://127.0.0.1:1' }
    const settings = { ...rooms.settings, chains: [broken] }
    const offline = callable(rooms, channelRoutes({ ...rooms, settings }))
    const path = `/api/channels/status?channelId=0x${'ab'.repeat(32)}`
    expect(await offline('GET', path)).toMatchObject({ status: 503, json: { code: 'chain_unavailable' } })
    expect(await offline('GET', path)).toMatchObject({ status: 503, json: { code: 'chain_unavailable' } })
  })
})
