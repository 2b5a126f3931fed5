/** Charges in the operator's books: told at once, income once they are final, never lost silently to a reorganisation. */
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { erc20Abi, type Hex, type LocalAccount, toHex } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../provider/src/cli/main.ts'
import { alarms, clearAlarms } from '../../provider/src/ledger/alarms.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import type { SignedAuthorization } from '../src/authorization.ts'
import { authorize, chargesOf, transferWith, uses } from './charging.ts'

const price = 20_000n
const answer = new TextEncoder().encode('the answer')
let fixture: Fixture
let paywall: Paywall
let path: string
let paywalls = 0

beforeAll(async () => {
  fixture = await startFixture()
})
/** A paywall whose rounds are run by the test, with a finality of two blocks; it has followed the chain up to now. */
beforeEach(async () => {
  path = join(fixture.folder, `books-${paywalls++}.db`)
  paywall = fixture.paywall({
    ...{ finality: 2n, confirmations: () => 0n, ledger: sqliteLedger(path, { log: () => {} }) },
    settle: { nativePrice: '0.000001' },
  })
  await paywall.settler.run()
})
afterEach(() => paywall.close())
afterAll(() => fixture?.close())

const mine = (blocks: number) => fixture.chain.testClient.mine({ blocks })

/** Puts others in the place of the latest blocks, without their transactions. */
async function reorganise(depth: number): Promise<void> {
  await fixture.chain.testClient.request({ method: 'anvil_reorg', params: [depth, []] } as never)
}

/** Another transaction than the provider's own cashes it, or something else under its nonce. */
async function sendAs(authorization: SignedAuthorization): Promise<Hex> {
  const call = transferWith(fixture, authorization)
  const hash = await fixture.chain.walletClient(fixture.stranger).writeContract(call)
  await fixture.chain.publicClient.waitForTransactionReceipt({ hash })
  return hash
}

async function command(...args: string[]): Promise<{ code: number; text: string }> {
  const [name = '', ...rest] = args
  const output = { stdout: '', stderr: '' }
  const writing = (to: keyof typeof output) =>
    new Writable({
      write(chunk, _, done) {
        output[to] += chunk
        done()
      },
    })
  const streams = { stdout: writing('stdout'), stderr: writing('stderr') }
  return { code: await main([name, '--ledger', path, ...rest], streams), text: output.stdout }
}

const statusOf = async () => JSON.parse((await command('status', '--json')).text)

async function figure(series: string): Promise<number> {
  const { text } = await paywall.metrics.render()
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length),
  )
}

/** Pays, and returns the transaction. */
async function pay(authorization: SignedAuthorization, whileWorking = async () => {}): Promise<Hex> {
  let txHash: Hex | undefined
  const begun = await chargesOf(paywall).begin(authorization, { quote: price }, (settled) => {
    txHash = settled.txHash
  })
  if (!begun.ok) throw new Error('refused')
  await whileWorking()
  await begun.funds.capture(price, {})
  return txHash as Hex
}

/** Brings everything to its end, while blocks come. */
async function settled(): Promise<void> {
  await expect
    .poll(
      async () => {
        await mine(1)
        await paywall.settler.run()
        const { charges, transactions } = await statusOf()
        return [charges.pending, transactions.length]
      },
      { timeout: 20_000 },
    )
    .toEqual(['0', 0])
}

async function told() {
  const found = []
  for await (const { charge, code } of alarms(paywall.ledger.notebook)) found.push({ charge, code })
  return found
}

test('a charge is counted and told at once, and in the accounts once it is final, whoever sent its transfer', async () => {
  const [own, others, burned] = [
    await authorize(fixture, price),
    await authorize(fixture, price),
    await authorize(fixture, price),
  ]
  const ours = await pay(own)
  let theirs: Hex | undefined
  const second = await pay(others, async () => {
    theirs = await sendAs(others)
  })
  expect(second).toBe(theirs)
  const elsewhere = { nonce: burned.nonce, to: fixture.stranger.address.toLowerCase() as Hex }
  const spend = async () => void (await sendAs(await authorize(fixture, price, elsewhere)))
  await expect(pay(burned, spend)).rejects.toMatchObject({ name: 'PaymentFailedError' })
  const begun = await chargesOf(paywall).begin(await authorize(fixture, price), { quote: price })
  if (begun.ok) await begun.funds.capture(0n, {})

  expect(await figure('drain_charges_total{outcome="settled"}')).toBe(2)
  expect(await figure('drain_charges_total{outcome="failed"}')).toBe(1)
  expect(await figure('drain_charges_total{outcome="released"}')).toBe(1)
  expect(await figure('drain_charges_base_units_total')).toBe(Number(2n * price))
  expect(await statusOf()).toMatchObject({
    earned: '0',
    charges: { count: 0, amount: '0', gasCost: '0', pending: '0.04' },
    transactions: [{ kind: 'charge', amount: '0.02', hash: ours }],
  })
  expect((await command('status')).text).toMatch(
    /^charges {4}0 USDC in 0 transfers, and 0.04 not final$[\s\S]*^ {2}charge of 0.02 USDC with nonce/m,
  )
  expect((await command('export')).text.trimEnd().split('\n')).toHaveLength(1)

  await mine(2)
  await paywall.settler.run()
  await paywall.settler.run()
  const receipt = await fixture.chain.publicClient.getTransactionReceipt({ hash: ours })
  const gas = receipt.gasUsed * receipt.effectiveGasPrice
  expect(await figure('drain_charge_gas_wei_total')).toBe(Number(gas))
  const { charges, transactions } = await statusOf()
  expect(charges).toMatchObject({ count: 2, amount: '0.04', pending: '0' })
  expect(Number(charges.gasCost)).toBeCloseTo(Number(gas) / 1e18, 15)
  expect(transactions).toEqual([])
  expect((await command('status')).text).toContain('charges    0.04 USDC in 2 transfers\n')
  const [, row, ...more] = (await command('export')).text.trimEnd().split('\n')
  const [day, channelId, consumer, requests, charged, claimed, fee, gasCost, hashes = ''] = (row ?? '').split(
    ',',
  )
  expect([channelId, consumer, requests, charged, claimed, fee, gasCost]).toEqual([
    ...['', own.from, '2', '0.04', '0.04', '0', charges.gasCost],
  ])
  expect(hashes.split(' ').toSorted()).toEqual([ours, theirs].toSorted())
  expect(more).toEqual([])
  const rows = JSON.parse((await command('export', '--format', 'json', '--from', day as string)).text)
  expect(rows).toMatchObject([{ day, channelId: null, consumer: own.from, charged: '0.04' }])
  expect((await command('export', '--to', '2020-01-01')).text.trimEnd().split('\n')).toHaveLength(1)
})

test('drain-provider settle books what a server took that settles nothing', async () => {
  const serving = join(fixture.folder, 'served.db')
  const server = fixture.paywall({ ledger: sqliteLedger(serving, { log: () => {} }) })
  const authorization = await authorize(fixture, price)
  const begun = await chargesOf(server).begin(authorization, { quote: price })
  if (!begun.ok) throw new Error('refused')
  await begun.funds.capture(price, {})
  path = serving
  expect(await statusOf()).toMatchObject({ charges: { count: 0, pending: '0.02' } })
  const key = toHex(fixture.chain.accounts[1].getHdKey().privateKey as Uint8Array)
  vi.stubEnv('DRAIN_PRIVATE_KEY', key)
  vi.stubEnv('LOG_LEVEL', 'silent')
  expect((await command('settle', '--rpc', fixture.chain.rpcUrl, '--once')).code).toBe(0)
  vi.unstubAllEnvs()
  expect(await statusOf()).toMatchObject({ charges: { count: 1, amount: '0.02', pending: '0' } })
})

describe('a reorganisation that takes the transfer back', () => {
  const earned = () => fixture.balance(fixture.provider.address)

  test('before the answer: it is sent again, and the answer given once it is mined', async () => {
    const { testClient } = fixture.chain
    const before = await earned()
    const authorization = await authorize(fixture, price)
    const keyId = authorization.nonce
    const key = { id: keyId, fingerprint: keyId }
    const charges = chargesOf(paywall, { patienceMs: 200 })
    const begun = await charges.begin(authorization, { quote: price, key })
    if (!begun.ok) throw new Error('refused')
    await testClient.setAutomine(false)
    try {
      await expect(begun.funds.capture(price, { outcome: answer })).rejects.toMatchObject({
        rejection: { code: 'unavailable' },
      })
      await mine(1)
      expect(await earned()).toBe(before + price)
      await reorganise(1)
      expect(await earned()).toBe(before)
    } finally {
      await testClient.setAutomine(true)
    }
    expect(await charges.begin(authorization, { quote: price, key })).toMatchObject({
      rejection: { code: 'unavailable' },
    })
    await expect
      .poll(() => charges.begin(authorization, { quote: price, key }), { timeout: 20_000 })
      .toMatchObject({ ok: false, outcome: answer })
    expect([await earned(), await uses(fixture, authorization)]).toEqual([before + price, 1])
    await settled()
    expect(await statusOf()).toMatchObject({ charges: { count: 1, amount: '0.02' }, alarms: [] })
  })

  test('after the answer: it is sent again, and booked once', async () => {
    const before = await earned()
    const authorization = await authorize(fixture, price)
    await pay(authorization)
    await paywall.settler.run()
    await reorganise(1)
    expect(await earned()).toBe(before)
    await settled()
    expect([await earned(), await uses(fixture, authorization)]).toEqual([before + price, 1])
    expect(await statusOf()).toMatchObject({ charges: { count: 1, amount: '0.02' }, alarms: [] })
  })

  test('of somebody else, after the answer: ours is sent in its place', async () => {
    const before = await earned()
    const authorization = await authorize(fixture, price)
    await pay(authorization, async () => void (await sendAs(authorization)))
    await paywall.settler.run()
    await reorganise(1)
    await settled()
    expect([await earned(), await uses(fixture, authorization)]).toEqual([before + price, 1])
    expect(await statusOf()).toMatchObject({ charges: { count: 1, amount: '0.02' }, alarms: [] })
  })

  test('after the answer, when the payer has used it for something else: that is an alarm, until it is cleared', async () => {
    const before = await earned()
    const authorization = await authorize(fixture, price)
    await pay(authorization)
    await paywall.settler.run()
    await reorganise(1)
    const to = fixture.stranger.address.toLowerCase() as Hex
    await sendAs(await authorize(fixture, price, { nonce: authorization.nonce, to }))
    await settled()
    expect(await earned()).toBe(before)
    expect(await told()).toEqual([{ charge: authorization.nonce, code: 'charge_vanished' }])
    const { code, text } = await command('status')
    const message = `charge_vanished ${authorization.nonce}: 0.020000 USDC of ${authorization.from} were paid`
    expect([code, text]).toEqual([3, expect.stringContaining(message)])
    expect(await statusOf()).toMatchObject({ alarms: [{ charge: authorization.nonce, channelId: null }] })
    expect(await figure('drain_settlement_alarms{code="charge_vanished"}')).toBe(1)
    await command('clear-alarm', '--channel', authorization.nonce)
    expect((await command('status')).code).toBe(0)
  })

  test('after the answer, when the payer’s money is gone: an alarm once the authorization has ended', async () => {
    const { testClient, publicClient, walletClient, deployment, accounts } = fixture.chain
    const payer = accounts[7] as LocalAccount
    const { timestamp } = await publicClient.getBlock()
    const authorization = await authorize(fixture, price, { signer: payer, validBefore: timestamp + 120n })
    await pay(authorization)
    await paywall.settler.run()
    await reorganise(1)
    const args = [fixture.stranger.address, await fixture.balance(payer.address)] as const
    const call = { address: deployment.token, abi: erc20Abi, functionName: 'transfer', args } as const
    await publicClient.waitForTransactionReceipt({ hash: await walletClient(payer).writeContract(call) })
    await paywall.settler.run()
    await mine(5)
    await paywall.settler.run()
    expect(await told()).toEqual([])
    const snapshot = await testClient.snapshot()
    await testClient.increaseTime({ seconds: 130 })
    await settled()
    expect(await told()).toEqual([{ charge: authorization.nonce, code: 'charge_vanished' }])
    await clearAlarms(paywall.ledger.notebook, { at: 0 })
    await testClient.revert({ id: snapshot })
  })

  test('of more blocks than were taken for final: it is no income any more, and an alarm when it doesn’t come again', async () => {
    const [gone, back] = [await authorize(fixture, price), await authorize(fixture, price)]
    await mine(5)
    await paywall.settler.run()
    await pay(gone)
    await pay(back)
    await settled()
    expect(await statusOf()).toMatchObject({ charges: { count: 2, amount: '0.04' } })
    await mine(3)
    await paywall.settler.run()
    await reorganise(8)
    await sendAs(back)
    const to = fixture.stranger.address.toLowerCase() as Hex
    await sendAs(await authorize(fixture, price, { nonce: gone.nonce, to }))
    await paywall.settler.run()
    await settled()
    expect(await statusOf()).toMatchObject({ charges: { count: 1, amount: '0.02', pending: '0' } })
    expect(await told()).toEqual([{ charge: gone.nonce, code: 'charge_vanished' }])
  })
})
