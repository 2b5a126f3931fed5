/** What becomes of transactions: sent once, found again, replaced, dropped, stuck, undone by a reorganisation. */
import { spawnSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Channel } from '@drain/core'
import type { LedgerOpener, Paywall } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Hex, parseEther, toHex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'
import { postgresBin, startPostgres } from './startPostgres.ts'

let fixture: Fixture
const extra: Paywall[] = []

beforeAll(async () => {
  fixture = await startFixture()
})
afterEach(async () => {
  const { testClient } = fixture.chain
  await testClient.setAutomine(true)
  await testClient.setBalance({ address: fixture.provider.address, value: parseEther('100') })
  for (const paywall of extra.splice(0)) await paywall.close()
})
afterAll(() => fixture?.close())

async function owing(...wanted: Parameters<Fixture['owing']>) {
  const found = await fixture.owing(...wanted)
  extra.push(found.paywall)
  return found
}

async function recordsOf(paywall: Paywall) {
  const records = []
  for await (const record of paywall.ledger.claims()) records.push(record)
  return records
}

const sent = () => fixture.sent()

test('many channels are claimed in one transaction, at what they were charged', async () => {
  const { paywall, ids } = await owing(12, 300_000n)
  const before = await sent()
  const { claimed, failed, pending, waiting } = await paywall.settlement.claimAll(1n)
  expect({ failed, pending, waiting }).toEqual({ failed: [], pending: [], waiting: 0n })
  expect(claimed.map(({ amount }) => amount)).toEqual(ids.map(() => 300_000n))
  expect(await sent()).toBe(before + 1)
  for (const id of ids) {
    expect(await fixture.claimed(id)).toBe(300_000n)
    expect(await paywall.ledger.get(id)).toMatchObject({ claimed: 300_000n, claiming: 300_000n })
  }
  const records = await recordsOf(paywall)
  expect(new Set(records.map(({ txHash }) => txHash)).size).toBe(1)
  const receipt = await fixture.chain.publicClient.getTransactionReceipt({
    hash: records[0]?.txHash as Hex,
  })
  const gas = records.reduce((sum, { gasCost }) => sum + gasCost, 0n)
  expect(gas).toBe(receipt.gasUsed * receipt.effectiveGasPrice)
  expect(await paywall.settler.transactions.unsettled()).toEqual([])
})

test('one channel that cannot be paid leaves the batch, and is named', async () => {
  const { paywall, channels, ids } = await owing(3, 200_000n)
  const closing = await paywall.closeChannel(await lookUp(paywall, ids[1]))
  if ('rejection' in closing) throw new Error(closing.rejection.code)
  // As if this process had never heard of the close.
  const other = fixture.paywall({ ledger: sqliteLedger(join(fixture.folder, 'unaware.db')) })
  extra.push(other)
  for (const channel of channels) {
    const found = await lookUp(paywall, channel.id)
    const voucher = { amount: 200_000n, nonce: 9n, signature: '0x' } as const
    if (channel.id === ids[1])
      await other.ledger.raise({ channel: { ...found, channelId: channel.id }, voucher })
    else {
      const request = new Request('http://p.example/x', {
        headers: await channel.voucher(200_000n, { nonce: 7n }),
      })
      expect((await other.handle(request, 200_000n, () => new Response())).status).toBe(200)
    }
  }
  const reserved = await other.ledger.reserve({
    channel: { ...(await lookUp(paywall, ids[1])), channelId: ids[1] as Hex },
    voucher: { amount: 200_000n, nonce: 10n, signature: '0x' },
    quote: 100_000n,
  })
  if (reserved.ok) await other.ledger.capture(reserved.reservationId, 100_000n)
  const { claimed, failed } = await other.settlement.claimAll(1n)
  expect(claimed).toHaveLength(2)
  expect(failed).toEqual([{ channelId: ids[1], code: 'not_claimable' }])
})

async function lookUp(paywall: Paywall, id: Hex | undefined): Promise<Channel.Channel> {
  const state = await paywall.ledger.get(id as Hex)
  if (!state) throw new Error('unknown channel')
  const { consumer, provider, deposit, expiry } = state
  return { id: state.channelId, consumer, provider, deposit, expiry, claimed: 0n }
}

test('what the node forgot is sent again, the very same', async () => {
  const { paywall, ids } = await owing(2, 100_000n)
  const { testClient } = fixture.chain
  await testClient.setAutomine(false)
  const claiming = paywall.settlement.claimAll(1n)
  const pool = () => testClient.getTxpoolStatus()
  await expect.poll(async () => (await pool()).pending).toBe(1)
  const [entry] = await paywall.settler.transactions.unsettled()
  const hash = entry?.attempts[0]?.hash as Hex
  await testClient.dropTransaction({ hash })
  await expect.poll(async () => (await pool()).pending).toBe(1) // by the one who waits for it
  await testClient.mine({ blocks: 1 })
  expect((await claiming).claimed.map(({ txHash }) => txHash)).toEqual([hash, hash])
  expect(await fixture.claimed(ids[0] as Hex)).toBe(100_000n)
})

test('a transaction that reverts is resolved: nothing is booked, and it is made again', async () => {
  const { paywall, channels } = await owing(1, 100_000n)
  const [channel] = channels
  const { chain, provider } = fixture
  await chain.testClient.setAutomine(false)
  const claim = paywall.settlement.claim(channel?.id as Hex).then(
    () => 'claimed',
    (error) => error.code,
  )
  await expect.poll(async () => (await chain.testClient.getTxpoolStatus()).pending).toBe(1)
  // The provider's funds are gone before it is mined.
  const [entry] = await paywall.settler.transactions.unsettled()
  await chain.testClient.dropTransaction({ hash: entry?.attempts[0]?.hash as Hex })
  await chain.testClient.setBalance({ address: provider.address, value: 0n })
  expect(await claim).toBe('claim_pending')
  const before = await paywall.ledger.get(channel?.id as Hex)
  expect(before).toMatchObject({ claimed: 0n, charged: 100_000n })
  expect(await paywall.settler.transactions.poll()).toMatchObject({ problem: 'no_gas' })
  expect(await paywall.health.report()).toMatchObject({ reasons: expect.arrayContaining(['no_gas']) })

  await chain.testClient.setBalance({ address: provider.address, value: parseEther('10') })
  await chain.testClient.setAutomine(true)
  await expect.poll(async () => (await paywall.settler.transactions.poll()).entries.length).toBe(0)
  expect(await paywall.ledger.get(channel?.id as Hex)).toMatchObject({ claimed: 100_000n })
  expect(await recordsOf(paywall)).toHaveLength(1)
})

test('a transaction that nobody mines is replaced by one that pays more, and booked once', async () => {
  const { publicClient, testClient } = fixture.chain
  let clock = Date.now()
  const { paywall, ids } = await owing(1, 100_000n, { clock: () => clock })
  const { transactions } = paywall.settler
  await testClient.setAutomine(false)
  const before = await sent()
  const claiming = paywall.settlement.claimAll(1n)
  await expect.poll(async () => (await transactions.unsettled()).length).toBe(1)
  const [first] = await transactions.unsettled()
  const was = await publicClient.getTransaction({ hash: first?.attempts[0]?.hash as Hex })
  await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: (was.maxFeePerGas ?? 0n) * 2n })
  clock += 31_000
  // While there are no blocks, nothing is gained by paying more.
  await expect.poll(async () => (await transactions.poll()).problem).toBe('stuck')
  expect((await transactions.unsettled())[0]?.attempts).toHaveLength(1)
  await testClient.mine({ blocks: 1 })
  await expect.poll(async () => (await transactions.unsettled())[0]?.attempts.length).toBe(2)
  await testClient.setAutomine(true)
  await testClient.mine({ blocks: 1 })
  const { claimed } = await claiming
  expect(claimed).toMatchObject([{ channelId: ids[0], amount: 100_000n }])
  expect(claimed[0]?.txHash).not.toBe(was.hash)
  expect(await sent()).toBe(before + 1)
  expect(await recordsOf(paywall)).toHaveLength(1)
})

test('a claim that a reorganisation undoes is sent again, the same, and booked once it is final', async () => {
  const { publicClient, testClient } = fixture.chain
  const { paywall, ids } = await owing(1, 100_000n, { finality: 3n })
  const id = ids[0] as Hex
  const { transactions } = paywall.settler
  const { claimed } = await paywall.settlement.claimAll(1n)
  expect(claimed).toHaveLength(1)
  expect(await paywall.ledger.get(id)).toMatchObject({ claimed: 0n, claiming: 100_000n })
  expect((await transactions.poll()).entries).toMatchObject([{ state: 'mined' }])

  await testClient.setAutomine(false)
  await publicClient.request({ method: 'anvil_reorg', params: [1, []] } as never)
  expect(await fixture.claimed(id)).toBe(0n)
  expect((await transactions.poll()).entries).toMatchObject([{ state: 'pending' }])
  await testClient.mine({ blocks: 1 })
  expect(await fixture.claimed(id)).toBe(100_000n)
  // Nothing is claimed twice meanwhile.
  expect(await paywall.settlement.claimAll(1n)).toMatchObject({ claimed: [], pending: [id] })
  expect((await transactions.poll()).entries).toHaveLength(1)
  await testClient.mine({ blocks: 3 })
  expect((await transactions.poll()).entries).toEqual([])
  expect(await paywall.ledger.get(id)).toMatchObject({ claimed: 100_000n })
  expect((await recordsOf(paywall)).map(({ txHash }) => txHash)).toEqual([claimed[0]?.txHash])
})

test('two transactions that take from one channel are booked in their order, whoever asks for the later one', async () => {
  const { testClient } = fixture.chain
  const { paywall, channels, ids } = await owing(1, 100_000n, { finality: 3n })
  const { transactions } = paywall.settler
  const { claimed } = await paywall.settlement.claimAll(1n)
  const request = new Request('http://p.example/x', { headers: (await channels[0]?.voucher(150_000n)) ?? {} })
  expect((await paywall.handle(request, 50_000n, () => new Response('done'))).status).toBe(200)
  const closing = await paywall.closeChannel(await lookUp(paywall, ids[0]))
  if ('rejection' in closing) throw new Error(closing.rejection.code)
  const close = (await transactions.unsettled()).find(({ kind }) => kind === 'claimAndClose')
  if (!close) throw new Error('no close')
  await testClient.mine({ blocks: 3 })
  // Nobody has looked after the claim since it was mined.
  await expect.poll(async () => (await transactions.mined(close)).entry.state).toBe('final')
  await transactions.poll()
  expect((await recordsOf(paywall)).map(({ txHash, amount }) => [txHash, amount])).toEqual([
    [claimed[0]?.txHash, 100_000n],
    [closing.txHash, 50_000n],
  ])
})

/** Two paywalls on one ledger send at once; then one of them leads, and books what both have sent. */
async function shareKey(ledger: LedgerOpener): Promise<void> {
  const { paywall: one, ids } = await owing(6, 100_000n, { ledger })
  const settle = { threshold: '0.1', nativePrice: '0.000001' }
  const two = fixture.paywall({ ledger, settle })
  extra.push(two)
  const before = await sent()
  const claims = await Promise.all(ids.map((id) => one.settlement.claim(id).catch(() => undefined)))
  await two.settler.run()
  await one.settler.transactions.poll()
  const nonces = (await sent()) - before
  expect(nonces).toBeGreaterThan(0)
  for (const id of ids) {
    expect(await fixture.claimed(id)).toBe(100_000n)
    expect(await one.ledger.get(id)).toMatchObject({ claimed: 100_000n, alarm: false, status: 'open' })
  }
  const records = (await recordsOf(two)).filter(({ channelId }) => ids.includes(channelId))
  expect(records.map(({ amount }) => amount)).toEqual(ids.map(() => 100_000n))
  expect(new Set(records.map(({ txHash }) => txHash)).size).toBeLessThanOrEqual(nonces)
  expect(claims.filter((claim) => claim && claim.amount !== 100_000n)).toEqual([])
  expect(await one.settler.transactions.unsettled()).toEqual([])
}

test('two processes send with one key at once: every transaction has a nonce of its own', () =>
  shareKey(sqliteLedger(join(fixture.folder, 'shared.db'), { log: () => {} })))

test.skipIf(!postgresBin)('and on PostgreSQL', async () => {
  const server = await startPostgres()
  try {
    await shareKey(postgresLedger(server.connection, { log: () => {} }))
    for (const paywall of extra.splice(0)) await paywall.close()
  } finally {
    await server.close()
  }
})

test('killed at any step of a settlement: after a restart the books and the chain agree, and nothing is sent twice', async () => {
  const { chain, folder } = fixture
  const path = join(folder, 'killed.db')
  const settle = { threshold: '0.1', nativePrice: '0.000001' }
  const { paywall, ids } = await owing(2, 100_000n, { ledger: sqliteLedger(path) })
  await paywall.close()
  const before = await sent()
  const config = {
    ...{ chainId: chain.chainId, rpcUrl: chain.rpcUrl, settle },
    ...{ contractAddress: chain.deployment.contract, usdcAddress: chain.deployment.token },
    privateKey: toHex(chain.accounts[1].getHdKey().privateKey ?? new Uint8Array()),
  }
  const child = (file: string, step: number) =>
    spawnSync(
      process.execPath,
      [
        join(import.meta.dirname, 'settling.child.ts'),
        JSON.stringify({ ...config, path: file }),
        String(step),
      ],
      { encoding: 'utf8' },
    )

  let step = 1
  for (; ; step += 1) {
    const snapshot = await chain.testClient.snapshot()
    const file = join(folder, `killed-${step}.db`)
    copyFileSync(path, file)
    const { signal, stderr, stdout } = child(file, step)
    if (signal !== 'SIGKILL') {
      expect({ stderr, steps: Number(stdout) + 1 }).toEqual({ stderr: '', steps: step })
      break
    }
    // By then the lease of the dead is over.
    const now = () => Date.now() + 60_000
    const again = fixture.paywall({ settle, ledger: sqliteLedger(file, { now, log: () => {} }) })
    await again.settler.run()
    for (const id of ids) {
      expect(await fixture.claimed(id), `killed at step ${step}`).toBe(100_000n)
      expect(await again.ledger.get(id), `killed at step ${step}`).toMatchObject({
        ...{ claimed: 100_000n, charged: 100_000n, claiming: 100_000n, alarm: false, status: 'open' },
      })
    }
    expect(await sent(), `killed at step ${step}`).toBe(before + 1)
    const records = await recordsOf(again)
    expect(records.map(({ channelId }) => channelId).sort(), `killed at step ${step}`).toEqual(
      [...ids].sort(),
    )
    expect(await again.settler.transactions.unsettled()).toEqual([])
    await again.close()
    await chain.testClient.revert({ id: snapshot })
  }
  expect(step).toBeGreaterThan(8)
}, 600_000)

test('a nonce that somebody else left open is filled, so that what comes after it is mined', async () => {
  const { chain, provider } = fixture
  const { testClient } = chain
  let clock = Date.now()
  const { paywall } = await owing(1, 100_000n, { clock: () => clock })
  await testClient.setAutomine(false)
  const before = await sent()
  const stranger = await chain.walletClient(provider).sendTransaction({ to: provider.address, nonce: before })
  const claiming = paywall.settlement.claimAll(1n)
  const { transactions } = paywall.settler
  await expect.poll(async () => (await transactions.unsettled())[0]?.nonce).toBe(before + 1)
  await testClient.dropTransaction({ hash: stranger })
  await testClient.setAutomine(true)
  clock += 31_000
  await expect
    .poll(async () => {
      await transactions.poll()
      return transactions.unsettled()
    })
    .toEqual([])
  expect((await claiming).claimed).toHaveLength(1)
  expect(await sent()).toBe(before + 2)
})
