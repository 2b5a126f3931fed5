import { CloseAuthorization, drainChannelAbi } from '@drain/core'
import { type ChannelState, type ClaimRecord, type Ledger, memoryLedger, type Paywall } from '@drain/provider'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { raiseAlarm } from '../src/ledger/alarms.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture

beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

const ask = (paywall: Paywall, headers: Record<string, string>, quote: bigint, answer?: Promise<Response>) =>
  paywall.handle(new Request('http://p.example/x', { headers }), quote, () => answer ?? new Response('done'))

test('a request that does not end keeps nothing from being claimed before the expiry', async () => {
  let clock = Date.now()
  const paywall = fixture.paywall({
    settle: {},
    ledger: memoryLedger({ log: () => {} }),
    clock: () => clock,
  })
  const channel = await fixture.open({ duration: 1_801n })
  const headers = () => channel.voucher(channel.deposit)
  expect((await ask(paywall, await headers(), 900_000n)).status).toBe(200)
  let resolve: (answer: Response) => void = () => {}
  const promise = new Promise<Response>((done) => {
    resolve = done
  })
  const slow = ask(paywall, await headers(), 1n, promise)
  await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(1n)

  clock += 1_700_000
  const before = await fixture.balance(fixture.provider.address)
  await paywall.settler.run()
  expect((await fixture.balance(fixture.provider.address)) - before).toBe(900_000n)
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closing', claimed: 900_000n })

  resolve(new Response('late'))
  await slow
})

test('a claim whose place another transaction took is not booked, and is made again', async () => {
  const { chain, provider } = fixture
  const { publicClient, testClient } = chain
  const paywall = fixture.paywall()
  const channel = await fixture.open()
  expect((await ask(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)

  await testClient.setAutomine(false)
  const claim = paywall.settlement.claim(channel.id).then(
    () => 'claimed',
    (error) => error.code,
  )
  const pending = async () => {
    const pool = await testClient.getTxpoolContent()
    return Object.values(
      pool.pending[provider.address] ?? pool.pending[provider.address.toLowerCase() as Hex] ?? {},
    )[0]
  }
  await expect.poll(pending).toBeDefined()
  const sent = await pending()
  const fee = BigInt(sent?.maxFeePerGas ?? 0) * 3n
  await chain.walletClient(provider).sendTransaction({
    ...{ to: provider.address, nonce: Number(sent?.nonce), gas: 30_000n },
    ...{ maxFeePerGas: fee, maxPriorityFeePerGas: fee },
  })
  await testClient.mine({ blocks: 1 })
  await testClient.setAutomine(true)
  expect(await claim).not.toBe('claimed')
  expect(await fixture.claimed(channel.id)).toBe(0n)
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ claimed: 0n, charged: 500_000n })

  expect(await paywall.settlement.claim(channel.id)).toMatchObject({ amount: 500_000n })
  expect(await fixture.claimed(channel.id)).toBe(500_000n)
  expect(await publicClient.getTransactionCount({ address: provider.address })).toBeGreaterThan(1)
})

test('a claim whose place another claim took is known for another’s by who used its nonce', async () => {
  const { chain, provider } = fixture
  const { testClient, deployment } = chain
  const paywall = fixture.paywall()
  const channel = await fixture.open()
  expect((await ask(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  const { highest } = (await paywall.ledger.get(channel.id)) as ChannelState
  await testClient.setAutomine(false)
  const claim = paywall.settlement.claim(channel.id).catch(({ code }) => code)
  await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
  const [entry] = await paywall.settler.transactions.unsettled()
  await chain.walletClient(provider).writeContract({
    ...{ address: deployment.contract, abi: drainChannelAbi, functionName: 'claim' },
    args: [channel.id, 500_000n, highest?.nonce ?? 0n, highest?.signature ?? '0x'],
    // Estimated, it would come after ours, which waits.
    ...{
      gas: 200_000n,
      nonce: entry?.nonce ?? 0,
      maxFeePerGas: 10n ** 11n,
      maxPriorityFeePerGas: 10n ** 10n,
    },
  })
  await testClient.mine({ blocks: 1 })
  await testClient.setAutomine(true)
  // The chain shows what ours was to bring about, so that alone doesn't tell.
  expect(await fixture.claimed(channel.id)).toBe(500_000n)
  expect(await claim).toBe('transaction_reverted')
  expect(await paywall.settler.transactions.get(entry?.nonce ?? 0)).toMatchObject({ state: 'replaced' })
  expect(paywall.settler.transactions.problem).toBeUndefined()
})

test('a claim that another process sent a moment ago is booked, also where this one finds it done', async () => {
  const { testClient } = fixture.chain
  const options = { finality: 3n, confirmations: () => 0n }
  const first = fixture.paywall({ ...options, ledger: memoryLedger({ log: () => {} }) })
  const { ledger } = first
  const channel = await fixture.open()
  expect((await ask(first, await channel.voucher(500_000n), 500_000n)).status).toBe(200)

  // The second has seen nothing under way when it begins; then the first one's claim is mined, and final.
  const late: Ledger = {
    ...ledger,
    async beginClaim(channelId, amount) {
      await first.settlement.claim(channelId)
      await testClient.mine({ blocks: 4 })
      return ledger.beginClaim(channelId, amount)
    },
  }
  const second = fixture.paywall({ ...options, ledger: () => late })
  const state = (await ledger.get(channel.id)) as ChannelState
  const { failed } = await second.settlement.claimMany([state])
  expect(failed).toEqual([{ channelId: channel.id, code: 'not_claimable' }])

  await second.settler.run()
  const claims: ClaimRecord[] = []
  for await (const claim of ledger.claims()) claims.push(claim)
  expect(claims.map(({ channelId, amount }) => ({ channelId, amount }))).toEqual([
    { channelId: channel.id, amount: 500_000n },
  ])
  expect(await ledger.get(channel.id)).toMatchObject({ claimed: 500_000n, charged: 500_000n })
})

test('a claim is booked before the close by the consumer that came after it, though both are found at once', async () => {
  const { chain, provider, consumer } = fixture
  const paywall = fixture.paywall({ finality: 3n, confirmations: () => 0n })
  const { ledger } = paywall
  const channel = await fixture.open()
  expect((await ask(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  const claimed = await paywall.settlement.claim(channel.id)
  expect((await ask(paywall, await channel.voucher(600_000n), 100_000n)).status).toBe(200)
  const state = (await ledger.get(channel.id)) as ChannelState
  await ledger.freeze(state)
  await ledger.finalize(channel.id)
  const authorization = { channelId: channel.id, finalAmount: 600_000n }
  const typedData = CloseAuthorization.typedData(authorization, chain.deployment)
  const hash = await chain.walletClient(consumer).writeContract({
    ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'cooperativeClose' },
    args: [channel.id, 600_000n, await provider.signTypedData(typedData)],
  })
  await chain.testClient.mine({ blocks: 4 })

  await paywall.settler.run()
  const claims: ClaimRecord[] = []
  for await (const claim of ledger.claims()) claims.push(claim)
  expect(claims.map(({ txHash, amount }) => ({ txHash, amount }))).toEqual([
    { txHash: claimed?.txHash, amount: 500_000n },
    { txHash: hash, amount: 100_000n },
  ])
})

test('a claim of ours is booked before another’s with our key, though both are found at once', async () => {
  const { chain, provider } = fixture
  const paywall = fixture.paywall({ finality: 3n, confirmations: () => 0n })
  const { ledger } = paywall
  await paywall.settler.run()
  const channel = await fixture.open()
  expect((await ask(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  const claimed = await paywall.settlement.claim(channel.id)
  expect((await ask(paywall, await channel.voucher(600_000n), 100_000n)).status).toBe(200)
  const { highest } = (await ledger.get(channel.id)) as ChannelState
  await chain.walletClient(provider).writeContract({
    ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'claim' },
    args: [channel.id, 600_000n, highest?.nonce ?? 0n, highest?.signature ?? '0x'],
  })
  await chain.testClient.mine({ blocks: 4 })
  await paywall.settler.run()
  await paywall.settler.run()
  const claims: ClaimRecord[] = []
  for await (const claim of ledger.claims()) claims.push(claim)
  expect(claims).toMatchObject([{ txHash: claimed?.txHash, amount: 500_000n }])
  expect(await ledger.get(channel.id)).toMatchObject({ status: 'closing', claimed: 600_000n })
})

test('a claim that is asked for leaves what another process has sent to its books', async () => {
  const options = { finality: 3n, confirmations: () => 0n }
  const first = fixture.paywall({ ...options, ledger: memoryLedger({ log: () => {} }) })
  const { ledger } = first
  await first.settler.run()
  const channel = await fixture.open()
  expect((await ask(first, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  // Another process takes the announcement for a dead one's, and dies itself.
  const dying: Ledger = { ...ledger, beginClaim: () => Promise.reject(new Error('killed')) }
  const other = fixture.paywall({ ...options, ledger: () => dying })
  const late: Ledger = {
    ...ledger,
    async beginClaim(channelId, amount) {
      const result = await ledger.beginClaim(channelId, amount)
      await other.settlement.claimMany([(await ledger.get(channelId)) as ChannelState])
      return result
    },
  }
  const claimed = await fixture.paywall({ ...options, ledger: () => late }).settlement.claim(channel.id)
  await fixture.chain.testClient.mine({ blocks: 4 })
  expect(await first.settlement.claim(channel.id).catch(({ code }) => code)).toBe('claim_pending')
  await first.settler.run()
  const claims: ClaimRecord[] = []
  for await (const claim of ledger.claims()) claims.push(claim)
  expect(claims).toMatchObject([{ txHash: claimed?.txHash, amount: 500_000n }])
})

test('where only whole amounts can be claimed, none is taken back that another process is about to send', async () => {
  const features = ['open', 'claim', 'close', 'cooperativeClose'] as const
  const deployment = { ...fixture.chain.deployment, features }
  const options = { deployment, finality: 3n, confirmations: () => 0n }
  let clock = Date.now()
  const server = fixture.paywall({
    ...options,
    ledger: memoryLedger({ log: () => {} }),
    clock: () => clock,
  })
  const { ledger } = server
  const late: Ledger = {
    ...ledger,
    async beginClaim(channelId, amount) {
      const result = await ledger.beginClaim(channelId, amount)
      await server.settlement.claimAll(1n) // the operator asks, while the worker's key signs
      return result
    },
  }
  const worker = fixture.paywall({ ...options, ledger: () => late, settle: {}, clock: () => clock })
  await worker.settler.run()
  const channel = await fixture.open({ duration: 1_801n })
  expect((await ask(server, await channel.voucher(900_000n), 400_000n)).status).toBe(200)
  await fixture.chain.testClient.mine({ blocks: 4 })
  clock += 1_700_000
  await worker.settler.run()
  await fixture.chain.testClient.mine({ blocks: 4 })
  await worker.settler.run()
  expect(await fixture.claimed(channel.id)).toBe(900_000n)
  expect(await ledger.get(channel.id)).toMatchObject({ charged: 400_000n, claimed: 900_000n, alarm: false })
})

test('what is left of channels that end is claimed when it is worth the transaction, together', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  // 0.24 USDC for a transaction, and 0.10 for each channel in it.
  proxy.lie = async ({ method }, answer) => (method === 'eth_gasPrice' ? { result: '0x3b9aca00' } : answer())
  let clock = Date.now()
  const lines: string[] = []
  const paywall = fixture.paywall({
    ...{ settle: { nativePrice: '5000' }, rpcUrl: proxy.url, clock: () => clock },
    ledger: memoryLedger({ log: () => {} }),
    log: (line) => lines.push(line),
  })
  const channels = [await fixture.open({ duration: 1_801n }), await fixture.open({ duration: 1_801n })]
  const [first, second] = channels as [OpenChannel, OpenChannel]
  expect((await ask(paywall, await first.voucher(300_000n), 300_000n)).status).toBe(200)
  clock += 1_700_000
  await paywall.settler.run()
  expect(await fixture.claimed(first.id)).toBe(0n)
  expect(lines.join()).toContain('dust is left')

  clock -= 1_700_000
  expect((await ask(paywall, await second.voucher(300_000n), 300_000n)).status).toBe(200)
  clock += 1_700_000
  await paywall.settler.run()
  expect([await fixture.claimed(first.id), await fixture.claimed(second.id)]).toEqual([300_000n, 300_000n])
  expect(await fixture.sent()).toBeGreaterThan(0)
  await paywall.close()
  await proxy.close()
})

test('a node that asks a fortune for gas makes no dust of what is about to be lost', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  proxy.lie = async ({ method }, answer) =>
    method === 'eth_gasPrice' ? { result: '0x5af3107a4000' } : answer()
  let clock = Date.now()
  const paywall = fixture.paywall({
    ...{ settle: { nativePrice: '1' }, rpcUrl: proxy.url, clock: () => clock },
    ledger: memoryLedger({ log: () => {} }),
  })
  const channel = await fixture.open({ duration: 1_801n })
  expect((await ask(paywall, await channel.voucher(900_000n), 900_000n)).status).toBe(200)
  clock += 1_700_000
  await paywall.settler.run()
  expect(await fixture.claimed(channel.id)).toBe(900_000n)
  await paywall.close()
  await proxy.close()
})

test('before its open is final, a channel is good for so much only', async () => {
  const { testClient } = fixture.chain
  const paywall = fixture.paywall({ finality: 5n, exposure: '0.3', confirmations: () => 0n })
  const channel = await fixture.open()
  expect((await ask(paywall, await channel.voucher(300_000n), 1n)).status).toBe(200)
  const tooHigh = await ask(paywall, await channel.voucher(300_001n), 1n)
  expect([tooHigh.status, (await tooHigh.json()).error.message]).toEqual([
    503,
    expect.stringContaining('until that is final it is good for'),
  ])
  await testClient.mine({ blocks: 5 })
  await expect
    .poll(async () => (await ask(paywall, await channel.voucher(900_000n), 1n)).status, { interval: 500 })
    .toBe(200)
})

test('health and metrics tell of money at risk, of alarms and of transactions under way', async () => {
  let clock = Date.now()
  const paywall = fixture.paywall({ clock: () => clock, adminToken: 'secret', finality: 5n })
  const channel = await fixture.open({ duration: 1_801n })
  expect((await ask(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  await paywall.settlement.claim(channel.id)
  clock += 1_790_000
  await raiseAlarm(paywall.ledger.notebook, {
    ...{ channelId: channel.id, code: 'unknown_claim', message: 'test', at: clock },
  })
  const { status, reasons } = await paywall.health.report()
  expect({ status, reasons }).toEqual({ status: 'degraded', reasons: ['claims_overdue', 'alarms'] })
  const { text } = await paywall.metrics.render()
  expect(text).toContain('drain_at_risk_base_units 500000')
  expect(text).toContain('drain_settlement_alarms{code="unknown_claim"} 1')
  expect(text).toContain('drain_transactions_unsettled 1')
  expect(text).toMatch(/^drain_gas_balance_wei [1-9]/m)
})

test('where only whole signed amounts can be claimed, a voucher of exactly what was charged goes before a higher one', async () => {
  let clock = Date.now()
  const features = ['open', 'claim', 'close', 'cooperativeClose'] as const
  const paywall = fixture.paywall({
    ...{ settle: {}, ledger: memoryLedger({ log: () => {} }), clock: () => clock },
    deployment: { ...fixture.chain.deployment, features },
  })
  const [exact, above] = [await fixture.open({ duration: 1_801n }), await fixture.open({ duration: 1_801n })]
  for (const [channel, signed] of [[exact, 400_000n] as const, [above, 500_000n] as const]) {
    expect((await ask(paywall, await channel.voucher(signed), 400_000n)).status).toBe(200)
    expect((await ask(paywall, await channel.voucher(900_000n), 0n)).status).toBe(200)
  }
  clock += 1_700_000
  await paywall.settler.run()
  expect(await fixture.claimed(exact.id)).toBe(400_000n)
  expect(await fixture.claimed(above.id)).toBe(900_000n)
})

test('a server that does no rounds pays no more for gas than it may either', async () => {
  const paywall = fixture.paywall({ settle: false, maxGasPrice: 1n })
  const channel = await fixture.open()
  expect((await ask(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  await expect(paywall.settlement.claim(channel.id)).rejects.toMatchObject({ code: 'gas_price' })
  expect(await fixture.claimed(channel.id)).toBe(0n)
})
