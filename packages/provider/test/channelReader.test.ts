/** What unknown channels cost the node: a counting proxy in front of a real one. */
import { randomBytes } from 'node:crypto'
import { drainChannelAbi, Voucher, Headers as Wire } from '@drain/core'
import { ChainUnavailableError, createChannelReader } from '@drain/provider'
import { bytesToHex, createPublicClient, type Hex, http } from 'viem'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { networkOf } from '../src/chain/LookupBudget.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
let proxy: RpcProxy
beforeAll(async () => {
  fixture = await startFixture()
})
beforeEach(async () => {
  proxy = await startRpcProxy(fixture.chain.rpcUrl)
  return () => proxy.close()
})
afterAll(() => fixture?.close())

const randomId = () => bytesToHex(randomBytes(32))
const reads = () => proxy.count('eth_call')
const total = () =>
  ['eth_call', 'eth_getBlockByNumber', 'eth_blockNumber', 'eth_getLogs']
    .map(proxy.count)
    .reduce((a, b) => a + b)

/** A reader on a clock that only moves when it is told to. */
function reader(options: { provider?: Hex | undefined; confirmations?: (deposit: bigint) => bigint } = {}) {
  let now = 1_800_000_000_000
  const client = createPublicClient({ transport: http(proxy.url, { retryCount: 0 }) })
  const channels = createChannelReader({
    client,
    deployment: fixture.chain.deployment,
    provider: fixture.provider.address,
    clock: () => now,
    ...options,
  })
  return {
    ...channels,
    pass(ms: number) {
      now += ms
    },
  }
}

const statuses = async (lookups: Promise<{ status: string }>[]) => {
  const counts = { found: 0, unknown: 0, unconfirmed: 0, busy: 0 }
  for (const { status } of await Promise.all(lookups)) counts[status as keyof typeof counts] += 1
  return counts
}

describe('one channel', () => {
  test('is read once, however many ask at the same time, and never again', async () => {
    const { id } = await fixture.open()
    const channels = reader()
    const release = proxy.hold()
    const asked = Array.from({ length: 100 }, () => channels.get(id))
    release()
    expect(await statuses(asked)).toMatchObject({ found: 100 })
    expect(reads()).toBe(1)
    channels.pass(3_600_000)
    expect(await channels.get(id)).toMatchObject({ status: 'found', channel: { id } })
    expect(reads()).toBe(1)
  })

  test('that does not exist is asked for once in two seconds', async () => {
    const channels = reader()
    const id = randomId()
    for (let i = 0; i < 20; i++) expect(await channels.get(id)).toEqual({ status: 'unknown' })
    expect(reads()).toBe(1)
    channels.pass(1_999)
    await channels.get(id)
    expect(reads()).toBe(1)
    channels.pass(2)
    await channels.get(id)
    expect(reads()).toBe(2)
  })

  test('is read again after it was forgotten, also while it was being read', async () => {
    const { id } = await fixture.open()
    const channels = reader()
    const release = proxy.hold()
    const before = channels.get(id)
    channels.forget(id)
    const after = channels.get(id)
    release()
    expect(await statuses([before, after])).toMatchObject({ found: 2 })
    expect(reads()).toBe(2)
    await channels.get(id)
    expect(reads()).toBe(2)
  })

  test('counts after its confirmations', async () => {
    const { id } = await fixture.open()
    const channels = reader({ confirmations: () => 3n })
    expect(await channels.get(id)).toEqual({ status: 'unconfirmed' })
    await fixture.chain.testClient.mine({ blocks: 3 })
    expect(await channels.get(id)).toEqual({ status: 'unconfirmed' }) // remembered
    channels.pass(2_001)
    expect(await channels.get(id)).toMatchObject({ status: 'found' })
  })

  test('the node being away is no answer, and is not remembered', async () => {
    const { id } = await fixture.open()
    const channels = reader()
    proxy.isDown = true
    await expect(channels.get(id)).rejects.toThrow(ChainUnavailableError)
    proxy.isDown = false
    expect(await channels.get(id)).toMatchObject({ status: 'found' })
  })
})

describe('a flood of invented ids', () => {
  const flood = (
    channels: { get(id: Hex, from?: string): Promise<{ status: string }> },
    size: number,
    from?: (i: number) => string,
  ) => statuses(Array.from({ length: size }, (_, i) => channels.get(randomId(), from?.(i))))

  test('gets 50 lookups a second, 32 at a time, whoever asks', async () => {
    const channels = reader({ provider: undefined })
    const release = proxy.hold()
    const first = flood(channels, 1_000, (i) => `10.0.${i >> 8}.${i & 255}`)
    release()
    expect(await first).toMatchObject({ unknown: 32, busy: 968 })
    expect(proxy.peak('eth_call')).toBeLessThanOrEqual(32)
    expect(await flood(channels, 1_000)).toMatchObject({ unknown: 18, busy: 982 })
    expect(reads()).toBe(50)
    channels.pass(1_000)
    for (let i = 0; i < 100; i++) await channels.get(randomId())
    expect(reads()).toBe(100)
    expect(total()).toBeLessThanOrEqual(100 + 3) // and a few looks at the head
  })

  test('of one address gets 20, then 5 a second; another address is served', async () => {
    const { id } = await fixture.open()
    const channels = reader({ provider: undefined })
    for (let i = 0; i < 100; i++) await channels.get(randomId(), '203.0.113.7')
    expect(reads()).toBe(20)
    expect(await channels.get(id, '203.0.113.8')).toMatchObject({ status: 'found' })
    channels.pass(1_000)
    for (let i = 0; i < 100; i++) await channels.get(randomId(), '::ffff:203.0.113.7')
    expect(reads()).toBe(26)
  })

  test('of one network gets as much as one address', async () => {
    const channels = reader({ provider: undefined })
    for (let i = 0; i < 100; i++) await channels.get(randomId(), `2001:db8:1:2::${i.toString(16)}`)
    expect(reads()).toBe(20)
    await channels.get(randomId(), '2001:db8:1:3::1')
    expect(reads()).toBe(21)
  })

  test('leaves known channels alone', async () => {
    const { id } = await fixture.open()
    const channels = reader()
    await channels.get(id)
    await flood(channels, 1_000)
    expect(await channels.get(id)).toMatchObject({ status: 'found' })
  })

  test('does not keep out a channel that was opened for the provider: the events tell it apart', async () => {
    const { id } = await fixture.open()
    const channels = reader()
    await flood(channels, 1_000)
    await flood(channels, 1_000) // nothing left, from many addresses
    await expect.poll(() => channels.get(id)).toMatchObject({ status: 'found' })
    expect(proxy.count('eth_getLogs')).toBe(1)

    // One opened later is seen two seconds later, and the flood makes the node no more work than that.
    const later = await fixture.open()
    expect(await channels.get(later.id)).toEqual({ status: 'busy' })
    const before = total()
    channels.pass(2_001)
    await expect
      .poll(async () => {
        await flood(channels, 500)
        return channels.get(later.id)
      })
      .toMatchObject({ status: 'found' })
    expect(proxy.count('eth_getLogs')).toBe(2)
    expect(total() - before).toBeLessThanOrEqual(50 + 50 + 10)
  })

  test('is not let through by channels that pay somebody else', async () => {
    const { id } = await fixture.open({ to: fixture.stranger.address })
    const channels = reader()
    await flood(channels, 1_000)
    await flood(channels, 1_000)
    await channels.get(id)
    await expect.poll(() => proxy.count('eth_getLogs')).toBe(1)
    const own = await fixture.open()
    channels.pass(2_001)
    await flood(channels, 1_000)
    await flood(channels, 1_000)
    await flood(channels, 1_000)
    await expect.poll(() => channels.get(own.id)).toMatchObject({ status: 'found' })
    expect(await channels.get(id)).toEqual({ status: 'busy' })
  })
})

describe('at the paywall', () => {
  const pay = (paywall: ReturnType<Fixture['paywall']>, headers: Record<string, string>) =>
    paywall.handle(new Request('http://provider.test/joke', { headers }), 1_000n, () => new Response('paid'))

  test('a signature that nobody made costs no lookup', async () => {
    const paywall = fixture.paywall({ rpcUrl: proxy.url })
    const bad = [
      `0x${'00'.repeat(65)}`,
      `0x${'ff'.repeat(65)}`,
      `0x${'12'.repeat(64)}`,
      `0x${'12'.repeat(193)}`,
    ]
    const before = reads()
    for (const signature of bad as Hex[]) {
      const header = Voucher.toHeader({ channelId: randomId(), amount: 1n, nonce: 1n, signature })
      const response = await pay(paywall, { [Wire.names.voucher[0]]: header })
      expect(response.headers.get('X-DRAIN-Error')).toBe('invalid_signature')
    }
    expect(reads()).toBe(before)
  })

  test('a proof that names somebody else costs no lookup', async () => {
    const paywall = fixture.paywall({ rpcUrl: proxy.url })
    const unsigned = { channelId: randomId(), amount: 1n, nonce: 1n }
    const own = await fixture.stranger.signTypedData(Voucher.typedData(unsigned, fixture.chain.deployment))
    const before = reads()
    const header = Voucher.toHeader({ ...unsigned, signature: `${own}${'ab'.repeat(128)}` as Hex })
    const response = await pay(paywall, { [Wire.names.voucher[0]]: header })
    expect(response.headers.get('X-DRAIN-Error')).toBe('invalid_signature')
    expect(reads()).toBe(before)
  })

  test('requests on a channel make one call in all, and none in another process on the same ledger', async () => {
    const channel = await fixture.open()
    const paywall = fixture.paywall({ rpcUrl: proxy.url })
    for (let i = 1n; i <= 20n; i++) {
      expect((await pay(paywall, await channel.voucher(i * 1_000n))).status).toBe(200)
    }
    expect(reads()).toBe(1)
    const second = fixture.paywall({ rpcUrl: proxy.url, ledger: () => paywall.ledger })
    expect((await pay(second, await channel.voucher(21_000n))).status).toBe(200)
    expect(reads()).toBe(1)
  })
})

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::FFFF:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:0db8:0001:0002::', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['::', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['', ''],
  ['not an address', 'not an address'],
  ['x'.repeat(5_000), 'x'.repeat(64)],
])('the network of %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})

test('the ABI has the event that tells channels apart', () => {
  const event = drainChannelAbi.find((item) => item.type === 'event' && item.name === 'ChannelOpened')
  expect(
    event?.inputs.filter((input) => 'indexed' in input && input.indexed).map(({ name }) => name),
  ).toContain('provider')
})
