/** What becomes of transactions: sent once, found again, replaced, dropped, stuck, undone by a reorganisation. */
import { join } from 'node:path'
import { type Channel, CloseAuthorization, drainChannelAbi } from '@drain/core'
import type { ChannelState, LedgerOpener, Paywall } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Hex, parseAbi, parseEther, parseGwei } from 'viem'
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

/** The consumer closes with the provider's signature, in a transaction that goes before the provider's. */
async function closeBefore(paywall: Paywall, id: Hex, finalAmount: bigint): Promise<Hex> {
  const { chain, consumer, provider } = fixture
  await paywall.ledger.freeze((await paywall.ledger.get(id)) as ChannelState)
  await paywall.ledger.finalize(id)
  const typedData = CloseAuthorization.typedData({ channelId: id, finalAmount }, chain.deployment)
  return chain.walletClient(consumer).writeContract({
    ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'cooperativeClose' },
    args: [id, finalAmount, await provider.signTypedData(typedData)],
    ...{ gas: 300_000n, maxFeePerGas: parseGwei('200'), maxPriorityFeePerGas: parseGwei('100') },
  })
}

test('a batch whose channel is closed before it is mined pays the others, and books what it paid', async () => {
  const { testClient, publicClient } = fixture.chain
  await testClient.mine({ blocks: 20 }) // what was claimed before is in other ledgers
  const ledger = sqliteLedger(join(fixture.folder, 'skipped.db'), { log: () => {} })
  const beginning = fixture.paywall({ ledger })
  await beginning.settler.run()
  await beginning.close()
  const { paywall, ids } = await owing(3, 200_000n, { ledger })
  const [first, gone, last] = ids as [Hex, Hex, Hex]
  await testClient.setAutomine(false)
  const claiming = paywall.settlement.claimAll(1n) // all three pay when it is simulated
  await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
  const close = await closeBefore(paywall, gone, 200_000n)
  await testClient.mine({ blocks: 1 })
  const { claimed, failed } = await claiming
  expect(claimed.map(({ channelId, amount }) => [channelId, amount])).toEqual([
    [first, 200_000n],
    [last, 200_000n],
  ])
  expect(failed).toEqual([{ channelId: gone, code: 'transaction_reverted' }])
  await paywall.settler.run()
  const records = await recordsOf(paywall)
  const hash = claimed[0]?.txHash as Hex
  expect(records.map(({ channelId, txHash, amount }) => [channelId, txHash, amount])).toEqual([
    [first, hash, 200_000n],
    [last, hash, 200_000n],
    [gone, close, 200_000n],
  ])
  const { gasUsed, effectiveGasPrice } = await publicClient.getTransactionReceipt({ hash })
  expect(records.reduce((sum, { gasCost }) => sum + gasCost, 0n)).toBe(gasUsed * effectiveGasPrice)
  expect(await paywall.ledger.get(gone)).toMatchObject({ status: 'closed', claimed: 200_000n, alarm: false })
})

test('a transaction that reverts on chain is resolved: nothing is booked but its gas, and it is made again', async () => {
  const { testClient, publicClient, walletClient, deployment, issuer } = fixture.chain
  const { paywall, ids } = await owing(2, 100_000n)
  const halt = (functionName: 'pause' | 'unpause') =>
    walletClient(issuer).writeContract({
      ...{
        address: deployment.token,
        abi: parseAbi(['function pause()', 'function unpause()']),
        functionName,
      },
      ...{ gas: 100_000n, maxFeePerGas: parseGwei('200'), maxPriorityFeePerGas: parseGwei('100') },
    })
  await testClient.setAutomine(false)
  const claiming = paywall.settlement.claimAll(1n)
  await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
  const [sentFirst] = await paywall.settler.transactions.unsettled()
  await halt('pause')
  await testClient.mine({ blocks: 1 })
  expect(await claiming).toMatchObject({
    ...{ claimed: [], pending: [] },
    failed: ids.map((channelId) => ({ channelId, code: 'transaction_reverted' })),
  })
  const entry = await paywall.settler.transactions.get(sentFirst?.nonce ?? -1)
  const { gasUsed, effectiveGasPrice, status } = await publicClient.getTransactionReceipt({
    hash: sentFirst?.attempts[0]?.hash as Hex,
  })
  expect(status).toBe('reverted')
  const gasCost = gasUsed * effectiveGasPrice
  expect(entry).toMatchObject({ state: 'final', mined: { succeeded: false, gasCost } })
  expect(paywall.settler.transactions.gasSpent).toBe(gasCost)
  expect(await recordsOf(paywall)).toEqual([])
  for (const id of ids)
    expect(await paywall.ledger.get(id)).toMatchObject({ claimed: 0n, claiming: 0n, charged: 100_000n })
  expect(await paywall.health.report()).toMatchObject({ status: 'degraded', reasons: ['claims_failing'] })

  await testClient.setAutomine(true)
  await halt('unpause')
  expect((await paywall.settlement.claimAll(1n)).claimed).toHaveLength(2)
  expect((await recordsOf(paywall)).map(({ amount }) => amount)).toEqual([100_000n, 100_000n])
})

test('a transaction that the node dropped waits while there is no gas for it, and is sent when there is', async () => {
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
