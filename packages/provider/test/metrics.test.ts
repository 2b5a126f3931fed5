/** What a provider tells its operator: figures and logs, without secrets. */
import { spawnSync } from 'node:child_process'
import { GaslessOpen, Usdc } from '@drain/core'
import { memoryLedger, type Paywall, type PaywallConfig, sse } from '@drain/provider'
import { pino } from 'pino'
import { toHex, zeroAddress } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger } from '../src/observe/Log.ts'
import { createMetrics } from '../src/observe/Metrics.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

const price = Usdc.parse('0.001')
const adminToken = 'an admin token to be kept'
let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

async function scrape(paywall: Paywall): Promise<string> {
  const headers = { Authorization: `Bearer ${adminToken}` }
  const response = await paywall.endpoints(new Request('http://p.test/metrics', { headers }))
  expect(response?.status).toBe(200)
  expect(response?.headers.get('Content-Type')).toContain('text/plain')
  expect(response?.headers.get('Access-Control-Allow-Origin')).toBeNull()
  return (await response?.text()) ?? ''
}

/** The value of a series, such as `drain_requests_total{outcome="admitted"}`. */
function value(text: string, series: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

const pay = (
  paywall: Paywall,
  headers: Record<string, string>,
  work: Parameters<Paywall['handle']>[2] = () => new Response('paid'),
) => paywall.handle(new Request('http://p.test/x', { headers }), price, work)

/** A bit of everything that a provider does. Resolves with the headers that it was sent. */
async function busy(paywall: Paywall, channel: OpenChannel): Promise<string[]> {
  const sent: string[] = []
  const send = async (headers: Record<string, string>, work?: Parameters<Paywall['handle']>[2]) => {
    sent.push(...Object.values(headers))
    const response = await pay(paywall, headers, work)
    return { status: response.status, text: await response.text() }
  }
  await send({})
  await send({ 'X-DRAIN-Voucher': 'nonsense' })
  await send(await channel.voucher(price, { signer: fixture.stranger }))
  const first = await channel.voucher(price)
  await send(first)
  await send(first)
  await send(await channel.voucher(2n * price), () => {
    throw new Error(`secret detail at ${fixture.chain.rpcUrl}`)
  })
  await send(await channel.voucher(5n * price), (payment) =>
    sse(
      payment,
      (async function* () {
        for (const cost of [100n, 250n]) yield { data: 'x', cost }
      })(),
    ),
  )
  const unknown = (first['X-DRAIN-Voucher'] as string).replace(channel.id, toHex(7n, { size: 32 }))
  await send({ 'X-DRAIN-Voucher': unknown })
  return sent
}

describe('figures', () => {
  test('exist for the admin only, and not at all without a token', async () => {
    const get = async (paywall: Paywall, headers: Record<string, string> = {}) =>
      paywall.endpoints(new Request('http://p.test/metrics', { headers }))
    expect(await get(fixture.paywall())).toBeUndefined()
    expect(await get(fixture.paywall(), { Authorization: 'Bearer undefined' })).toBeUndefined()
    const paywall = fixture.paywall({ adminToken })
    for (const headers of [{}, { Authorization: adminToken }, { Authorization: 'Bearer a' }]) {
      const refused = await get(paywall, headers)
      expect(refused?.status).toBe(401)
      expect(await refused?.text()).not.toContain('drain_')
    }
    expect((await get(paywall, { Authorization: `Bearer ${adminToken}` }))?.status).toBe(200)
  })

  test('count what happened', async () => {
    const paywall = fixture.paywall({ adminToken })
    const channel = await fixture.open()
    await busy(paywall, channel)
    const text = await scrape(paywall)
    const series = (name: string) => value(text, name)
    expect(series('drain_requests_total{outcome="admitted"}')).toBe(3)
    expect(series('drain_requests_total{outcome="voucher_required"}')).toBe(1)
    expect(series('drain_requests_total{outcome="invalid_voucher_format"}')).toBe(1)
    expect(series('drain_requests_total{outcome="invalid_nonce"}')).toBe(1)
    expect(series('drain_charged_base_units_total')).toBe(1_250)
    expect(series('drain_reservations')).toBe(0)
    expect(series('drain_streams{state="open"}')).toBe(0)
    expect(series('drain_ledger_step_seconds_count{step="reserve"}')).toBe(4)
    expect(series('drain_verification_seconds_count')).toBe(6)
    expect(series('drain_channel_lookups_total{result="found"}')).toBeGreaterThan(0)
    expect(series('drain_channels{status="open"}')).toBe(1)
    expect(series('drain_unclaimed_base_units')).toBe(1_250)
    expect(text).toMatch(
      /drain_build_info\{version="[^"]+",secp256k1="(native|wasm|noble)",chain_id="31337"\} 1/,
    )
  })

  test('count claims, and what they paid', async () => {
    const paywall = fixture.paywall({ adminToken })
    const channel = await fixture.open()
    expect((await pay(paywall, await channel.voucher(price))).status).toBe(200)
    expect(await paywall.settlement.claim(channel.id)).toMatchObject({ amount: price })
    expect(await paywall.settlement.claim(channel.id)).toBeUndefined()
    const text = await scrape(paywall)
    expect(value(text, 'drain_claims_total{outcome="paid"}')).toBe(1)
    expect(value(text, 'drain_claims_total{outcome="nothing"}')).toBe(1)
    expect(value(text, 'drain_claims_total{outcome="failed"}')).toBe(0)
    expect(value(text, 'drain_claimed_base_units_total')).toBe(Number(price))
    expect(value(text, 'drain_unclaimed_base_units')).toBe(0)
  })

  test('count streams while they run', async () => {
    const paywall = fixture.paywall({ adminToken })
    const channel = await fixture.open()
    const figures = async () => {
      const text = await scrape(paywall)
      const names = ['drain_reservations', 'drain_streams{state="open"}', 'drain_streams{state="paused"}']
      return names.map((name) => value(text, name))
    }
    const request = new Request('http://p.test/x', { headers: await channel.voucher(10n) })
    const response = await paywall.handle(request, { most: 30n, first: 10n, step: 10n }, (payment) =>
      sse(
        payment,
        (async function* () {
          for (const cost of [10n, 20n]) yield { data: `at ${cost}`, cost }
        })(),
      ),
    )
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const read = async () => {
      const { done, value = '' } = (await reader?.read()) ?? { done: true }
      text += value
      return !done
    }
    while (!text.includes('payment-need-voucher')) await read()
    expect(await figures()).toEqual([1, 1, 1])
    const raised = await paywall.endpoints(
      new Request('http://p.test/v1/vouchers', { method: 'POST', headers: await channel.voucher(30n) }),
    )
    expect(raised?.status).toBe(200)
    while (await read());
    expect(text).toContain('at 20')
    expect(await figures()).toEqual([0, 0, 0])
  })

  test('have labels that no request can multiply, and belong to their provider alone', async () => {
    const [one, other] = [fixture.paywall({ adminToken }), fixture.paywall({ adminToken })]
    const before = (await scrape(one)).split('\n').length
    for (let count = 0; count < 5; count += 1) {
      const channel = await fixture.open()
      await busy(one, channel)
      expect(await scrape(one)).not.toContain(channel.id)
    }
    const after = (await scrape(one)).split('\n').length
    await busy(one, await fixture.open())
    expect((await scrape(one)).split('\n').length).toBe(after)
    expect((await scrape(other)).split('\n').length).toBe(before)
  })

  test('are told also when the ledger can’t be asked', async () => {
    const paywall = fixture.paywall({ adminToken, ledger: memoryLedger({ log: () => {} }) })
    await pay(paywall, {})
    await paywall.ledger.close()
    const text = await scrape(paywall)
    expect(value(text, 'drain_requests_total{outcome="voucher_required"}')).toBe(1)
    expect(value(text, 'drain_unclaimed_base_units')).toBeNaN()
  })

  test('ask a slow ledger no more than a hundredth of the time', async () => {
    let asked = 0
    const totals = async () => {
      asked += 1
      const zero = { deposit: 0n, authorized: 0n, charged: 0n, reserved: 0n, claimed: 0n, unused: 0n }
      return { open: 0, closing: 0, closed: 0, alarms: 0, ...zero }
    }
    const source = { secp256k1: () => 'noble', chainId: 1, running: () => [], paused: () => 0 }
    const settlement = () => ({
      ...{
        outlook: async () => undefined,
        behind: async () => 0n,
        ledgerGasSpent: async () => 0n,
        alarms: async () => new Map(),
        unsettled: async () => 0,
        gasSpent: () => 0n,
        chargeGasSpent: () => 0n,
        gasBalance: async () => 0n,
      },
    })
    const metrics = createMetrics({ ...source, totals, settlement })
    await Promise.all(Array.from({ length: 20 }, () => metrics.render()))
    await metrics.render()
    expect(asked).toBe(1)
  })
})

describe('logs', () => {
  /** A logger of one's own, with everything in it. */
  function recorder() {
    const lines: string[] = []
    const logger = pino({ level: 'trace', base: null }, { write: (line: string) => void lines.push(line) })
    return { lines, logger }
  }

  test('of a busy provider have no secret in them', async () => {
    const { lines, logger } = recorder()
    const secretUrl = fixture.chain.rpcUrl.replace('http://', 'http://user:node-key@')
    const options: Partial<PaywallConfig> = {
      adminToken,
      log: logger,
      rpcUrl: fixture.chain.rpcUrl,
      relay: { nativePrice: '0.25' },
    }
    const paywall = fixture.paywall(options)
    await paywall.ready()
    const channel = await fixture.open()
    const sent = await busy(paywall, channel)
    await scrape(paywall)
    const { timestamp } = await fixture.chain.publicClient.getBlock()
    const open = {
      consumer: fixture.stranger.address,
      provider: fixture.provider.address,
      amount: price * 1_000n,
      duration: 86_400n,
      signer: zeroAddress,
      salt: toHex(9n, { size: 32 }),
      validAfter: 0n,
      validBefore: timestamp + 300n,
    }
    const signature = await fixture.stranger.signTypedData(
      GaslessOpen.typedData(open, fixture.chain.deployment),
    )
    const relayed = await paywall.relay?.open(GaslessOpen.toJson({ ...open, signature }))
    expect(relayed).toMatchObject({ ok: true })
    await paywall.settlement.claimAll(1n)
    const body = JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) })
    const closing = await paywall.endpoints(
      new Request('http://p.test/v1/close-channel', { method: 'POST', body }),
    )
    const consent = (await closing?.json()) as { signature: string }
    // The node goes away: what the error says has its address in it.
    const broken = fixture.paywall({ ...options, rpcUrl: secretUrl.replace(/:\d+$/, ':1') })
    await pay(broken, await channel.voucher(price))
    await broken.settlement.claimAll(1n)
    await broken.relay?.open(GaslessOpen.toJson({ ...open, salt: toHex(8n, { size: 32 }), signature }))

    const text = lines.join('')
    for (const level of ['"level":20', '"level":30', '"level":50']) expect(text).toContain(level)
    for (const word of ['ready', 'refused', 'charged', 'claimed', 'relayed an open'])
      expect(text).toContain(word)
    const signatures = [...sent, signature, consent.signature]
      .flatMap((one) => one.match(/0x[0-9a-f]{130}/g) ?? [])
      .map((one) => one.slice(2, 40))
    expect(signatures.length).toBeGreaterThan(5)
    const key = toHex(fixture.chain.accounts[1].getHdKey().privateKey as Uint8Array).slice(2)
    for (const secret of [...signatures, key, adminToken, 'node-key', '127.0.0.1', 'secret detail']) {
      expect(text.toLowerCase()).not.toContain(secret)
    }
  })

  test('to a function are lines of text, without what only helps to debug', async () => {
    const lines: string[] = []
    const paywall = fixture.paywall({ log: (line: string) => void lines.push(line) })
    await paywall.ready()
    const channel = await fixture.open()
    await busy(paywall, channel)
    await paywall.settlement.claim(channel.id)
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(/^ready \(provider 0x/)
    expect(lines[1]).toMatch(/^claimed \(channelId 0x.*, amount 0\.001250 USDC, txHash 0x/)
  })

  test('go to stderr as JSON by default, and a mistake does not print a secret', () => {
    const module = new URL('../src/observe/Log.ts', import.meta.url).href
    const script = `
      const { createLogger } = await import(${JSON.stringify(module)})
      const logger = createLogger(undefined)
      logger.debug('unseen')
      logger.info('seen', { amount: 12n, signature: '0xdead', privateKey: '0xbeef', rpcUrl: 'http://key@node' })
    `
    const args = ['--input-type=module-typescript', '-e', script]
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(stdout).toBe('')
    expect(JSON.parse(stderr)).toMatchObject({
      level: 30,
      name: 'drain-provider',
      msg: 'seen',
      amount: '12',
      signature: '[Redacted]',
      privateKey: '[Redacted]',
      rpcUrl: '[Redacted]',
    })
  })

  test('below the level cost nothing', () => {
    const logger = createLogger(pino({ level: 'warn' }, { write: () => {} }))
    const fields = {
      get expensive(): string {
        throw new Error('looked at')
      },
    }
    logger.debug('quiet', fields)
    expect(() => logger.warn('loud', fields)).toThrow('looked at')
  })
})
