/** What may keep a settlement from sending: the price of gas, and a key that is kept elsewhere. */
import { CloseAuthorization, drainChannelAbi } from '@drain/core'
import { memoryLedger, type Paywall } from '@drain/provider'
import { type Hex, parseGwei, verifyTypedData } from 'viem'
import { toAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

let fixture: Fixture

beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

async function pay(paywall: Paywall, channel: OpenChannel, signed: bigint, quote = signed): Promise<void> {
  const request = new Request('http://p.example/x', { headers: await channel.voucher(signed) })
  expect((await paywall.handle(request, quote, () => new Response('done'))).status).toBe(200)
}

async function close(paywall: Paywall, channel: OpenChannel): Promise<Record<string, string>> {
  const body = JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) })
  const request = new Request('http://p.example/v1/close-channel', { method: 'POST', body })
  const response = await paywall.endpoints(request)
  expect(response?.status).toBe(200)
  return response?.json()
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    ({ code }) => code,
  )

test('gas above the highest price is paid for a channel that is about to end, for at most half of what would be lost', async () => {
  const { testClient } = fixture.chain
  let clock = Date.now()
  const paywall = fixture.paywall({
    ...{ ledger: memoryLedger({ log: () => {} }), clock: () => clock },
    ...{ maxGasPrice: parseGwei('50'), nativePrice: '1' },
  })
  const running = await fixture.open()
  const [poor, rich] = [await fixture.open({ duration: 1_801n }), await fixture.open({ duration: 1_801n })]
  for (const channel of [running, rich]) await pay(paywall, channel, 900_000n)
  await pay(paywall, poor, 10_000n)
  clock += 1_700_000

  // 100,000 gas and more at 100 gwei and more: above 0.01 coins, which cost 1 USDC each.
  await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('114') })
  await testClient.mine({ blocks: 1 })
  expect(await codeOf(paywall.settlement.claim(running.id))).toBe('gas_price')
  expect(await codeOf(paywall.settlement.claim(poor.id))).toBe('gas_price')
  expect(await paywall.settler.transactions.unsettled()).toEqual([])
  const claimed = await paywall.settlement.claim(rich.id)
  expect(claimed).toMatchObject({ amount: 900_000n })
  const hash = claimed?.txHash as Hex
  const { effectiveGasPrice } = await fixture.chain.publicClient.getTransactionReceipt({ hash })
  expect(effectiveGasPrice).toBeGreaterThan(parseGwei('50'))
  expect([await fixture.claimed(running.id), await fixture.claimed(poor.id)]).toEqual([0n, 0n])
})

test('a close that would cost too much for gas is answered with a signature, which closes', async () => {
  const { deployment, publicClient, walletClient } = fixture.chain
  for (const limit of [{ maxGasPrice: 1n }, { nativePrice: '100000000' }]) {
    const paywall = fixture.paywall(limit)
    const channel = await fixture.open()
    await pay(paywall, channel, 900_000n)
    const [sent, earned] = [await fixture.sent(), await fixture.balance(fixture.provider.address)]
    const answer = await close(paywall, channel)
    expect(answer).toEqual({ channelId: channel.id, finalAmount: '900000', signature: expect.any(String) })
    const signature = answer.signature as Hex
    const authorization = { channelId: channel.id, finalAmount: 900_000n }
    const typedData = CloseAuthorization.typedData(authorization, deployment)
    expect(await verifyTypedData({ ...typedData, address: fixture.provider.address, signature })).toBe(true)
    expect(await fixture.sent()).toBe(sent)
    const hash = await walletClient(fixture.consumer).writeContract({
      ...{ address: deployment.contract, abi: drainChannelAbi, functionName: 'cooperativeClose' },
      args: [channel.id, 900_000n, signature],
    })
    expect((await publicClient.waitForTransactionReceipt({ hash })).status).toBe('success')
    expect((await fixture.balance(fixture.provider.address)) - earned).toBe(900_000n)
  }
})

/** An account of viem that signs elsewhere, as with a KMS: it has three functions, and no key. */
function elsewhere(isAnswering: () => boolean = () => true) {
  const { address, signMessage, signTransaction, signTypedData } = fixture.provider
  const asked: string[] = []
  const ask = async <result>(what: string, sign: () => Promise<result>): Promise<result> => {
    asked.push(what)
    return isAnswering() ? sign() : new Promise<never>(() => {})
  }
  const account = toAccount({
    address,
    signMessage: (message) => ask('message', () => signMessage(message)),
    signTransaction: (transaction, options) =>
      ask('transaction', () => signTransaction(transaction, options)),
    signTypedData: (typedData) => ask('typed data', () => signTypedData(typedData)),
  })
  return { account, asked }
}

test('an account that signs elsewhere claims and closes', async () => {
  const { account, asked } = elsewhere()
  expect(account).toMatchObject({ type: 'local', source: 'custom' })
  const paywall = fixture.paywall({ account })
  const channel = await fixture.open()
  await pay(paywall, channel, 300_000n)
  expect(await paywall.settlement.claim(channel.id)).toMatchObject({ amount: 300_000n })
  await pay(paywall, channel, 900_000n, 600_000n)
  expect(await close(paywall, channel)).toMatchObject({ finalAmount: '900000', txHash: expect.any(String) })
  expect(asked).toEqual(['transaction', 'typed data', 'transaction'])
})

test('an account that does not answer is given up after half a minute, and nothing is left of the claim', async () => {
  let isAnswering = false
  const { account, asked } = elsewhere(() => isAnswering)
  const paywall = fixture.paywall({ account, ledger: memoryLedger({ log: () => {} }) })
  const channel = await fixture.open()
  await pay(paywall, channel, 300_000n)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true })
  try {
    const claiming = codeOf(paywall.settlement.claim(channel.id))
    await expect.poll(() => asked).toEqual(['transaction'])
    await vi.advanceTimersByTimeAsync(30_000)
    expect(await claiming).toBe('signer_timeout')
  } finally {
    vi.useRealTimers()
  }
  expect(await paywall.settler.transactions.unsettled()).toEqual([])
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ claimed: 0n, claiming: 0n, charged: 300_000n })
  expect(await paywall.health.report()).toMatchObject({ status: 'degraded', reasons: ['claims_failing'] })
  isAnswering = true
  expect(await paywall.settlement.claim(channel.id)).toMatchObject({ amount: 300_000n })
})
