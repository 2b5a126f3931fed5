/** The consumer's actions for openings without gas and for session keys, against the real relay and paywall. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  cancelGaslessOpen,
  closeFor,
  getGaslessOpen,
  openChannel,
  relayGaslessOpen,
  requestGaslessOpen,
  type Session,
  signChannelRequest,
  signGaslessOpen,
  signVoucher,
} from '@drain/consumer'
import { ChannelRequest, type GaslessOpen, Usdc, Voucher, Headers as Wire } from '@drain/core'
import type { Paywall, PaywallConfig } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/node'
import { erc20Abi, type Hex, type LocalAccount } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'

const price = Usdc.parse('0.02')
const deposit = Usdc.parse('1')
const day = 86_400n

let fixture: Fixture
let paywall: Paywall
let origin: string
const servers: Server[] = []
beforeAll(async () => {
  fixture = await startFixture()
  paywall = relaying()
  origin = await listen(paywall)
})
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  await fixture?.close()
})

const relaying = (options: Partial<PaywallConfig> = {}) =>
  fixture.paywall({
    relay: { nativePrice: '0.25', perMinute: 1_000, perDay: 1_000 },
    // Every close here is worth its transaction, so that the provider sends it.
    minPayout: '0.001',
    ...options,
  })

async function listen(of: Paywall): Promise<string> {
  const server = createServer(
    endpoints(
      of,
      paid(of, Usdc.format(price), (_, res) => res.end('paid')),
    ),
  )
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Somebody with USDC and nothing else. */
async function gasless(usdc = '5'): Promise<LocalAccount> {
  const account = privateKeyToAccount(generatePrivateKey())
  await fixture.chain.fund(account.address, usdc)
  return account
}

const client = () => fixture.chain.publicClient
const stranger = () => fixture.chain.walletClient(fixture.stranger)
const sent = () => client().getTransactionCount({ address: fixture.provider.address })

async function signed(account: LocalAccount, change: Partial<signGaslessOpen.Parameters> = {}) {
  const { deployment } = fixture.chain
  const terms = { deployment, provider: fixture.provider.address, amount: deposit, duration: day }
  return signGaslessOpen(client(), { ...terms, account, ...change })
}

const request = (open: GaslessOpen.GaslessOpen, options: Partial<requestGaslessOpen.Parameters> = {}) =>
  requestGaslessOpen(client(), { deployment: fixture.chain.deployment, origin, open, ...options })

/** A channel that the provider has opened for a consumer without gas, with a session key. */
async function openGasless() {
  const consumer = await gasless()
  const account = privateKeyToAccount(generatePrivateKey())
  const { open, channelId, proof } = await signed(consumer, { signer: account.address })
  if (!proof) throw new Error('no proof')
  const outcome = await request(open)
  if (outcome.status !== 'opened') throw new Error(outcome.code)
  return { consumer, open, channelId, channel: outcome.channel, session: { account, proof } }
}

let nonces = 0n
async function pay(channelId: Hex, amount: bigint, session: Session, withProof = false) {
  const { deployment } = fixture.chain
  const voucher = await signVoucher(client(), {
    ...{ deployment, channelId, amount, nonce: ++nonces, session, withProof },
  })
  return fetch(`${origin}/joke`, { headers: { [Wire.names.voucher[0]]: Voucher.toHeader(voucher) } })
}
const code = (response: Response) => response.headers.get('X-DRAIN-Error')

async function close(channelId: Hex, session: Session, withProof = false) {
  const deadline = paywall.now() + 60n
  const about = { deployment: fixture.chain.deployment, channelId, session, withProof }
  const { signature } = await signChannelRequest(client(), { ...about, action: 'close', deadline })
  const body = JSON.stringify({ channelId, deadline: `${deadline}`, signature })
  return (await fetch(`${origin}/v1/close-channel`, { method: 'POST', body })).json()
}

test('without gas: one signature opens, the session key pays, the provider settles and refunds', async () => {
  const { consumer, channelId, channel, session } = await openGasless()
  expect(channel).toMatchObject({ deposit, provider: fixture.provider.address, consumer: consumer.address })
  expect(await fixture.balance(consumer.address)).toBe(Usdc.parse('4'))

  expect(code(await pay(channelId, price, session))).toBe('invalid_signature')
  const first = await pay(channelId, price, session, true)
  expect([first.status, await first.text()]).toEqual([200, 'paid'])
  // The provider has the proof now.
  expect((await pay(channelId, 2n * price, session)).status).toBe(200)
  expect((await pay(channelId, 3n * price, session)).status).toBe(200)

  const closed = await close(channelId, session)
  expect(closed).toMatchObject({ finalAmount: `${3n * price}`, txHash: expect.stringMatching(/^0x/) })
  expect(await fixture.balance(consumer.address)).toBe(Usdc.parse('5') - 3n * price)
  expect(await client().getBalance({ address: consumer.address })).toBe(0n)
  expect(await client().getTransactionCount({ address: consumer.address })).toBe(0)
})

test('the session key shows the proof with its first request too, whatever that is', async () => {
  const { channelId, session } = await openGasless()
  const { deployment } = fixture.chain
  const deadline = paywall.now() + 60n
  const state = async (withProof: boolean) => {
    const about = { deployment, channelId, session, withProof }
    const asked = await signChannelRequest(client(), { ...about, action: 'state', deadline })
    const headers = { [Wire.request]: ChannelRequest.toHeader(asked) }
    return (await fetch(`${origin}/v1/channels/${channelId}`, { headers })).status
  }
  expect([await state(false), await state(true)]).toEqual([402, 200])
})

test('with gas: a direct opening returns the proof that the provider takes', async () => {
  const { chain, consumer, provider } = fixture
  const { deployment } = chain
  const wallet = chain.walletClient(consumer)
  const { contract, token } = deployment
  const approval = {
    address: token,
    abi: erc20Abi,
    functionName: 'approve',
    args: [contract, deposit],
  } as const
  await client().waitForTransactionReceipt({ hash: await wallet.writeContract(approval) })
  const account = privateKeyToAccount(generatePrivateKey())
  const terms = { deployment, provider: provider.address, amount: deposit, duration: day }
  const { channelId, proof } = await openChannel(wallet, { ...terms, signer: account.address })
  if (!proof) throw new Error('no proof')
  const session = { account, proof }
  expect((await pay(channelId, price, session, true)).status).toBe(200)
  expect((await pay(channelId, 2n * price, session)).status).toBe(200)
  expect(await close(channelId, session)).toMatchObject({ finalAmount: `${2n * price}` })
})

test('the same authorization opens one channel, however often and wherever it is sent', async () => {
  const { consumer, open, channelId } = await openGasless()
  const before = await sent()
  const again = await Promise.all(Array.from({ length: 5 }, () => request(open)))
  for (const outcome of again) expect(outcome).toMatchObject({ status: 'opened', channelId })
  const other = await listen(relaying())
  expect(await request(open, { origin: other })).toMatchObject({ status: 'opened', channelId })
  expect(await relayGaslessOpen(stranger(), { deployment: fixture.chain.deployment, open })).toMatchObject({
    channelId,
  })
  expect(await sent()).toBe(before)
  expect(await fixture.balance(consumer.address)).toBe(Usdc.parse('4'))
})

test('closed, it stays closed: the same authorization is refused', async () => {
  const { open, channelId, session } = await openGasless()
  expect((await pay(channelId, price, session, true)).status).toBe(200)
  await close(channelId, session)
  const elsewhere = await listen(relaying())
  const outcome = await request(open, { origin: elsewhere })
  expect(outcome).toMatchObject({ status: 'refused', code: 'authorization_used' })
  const { deployment } = fixture.chain
  expect(await getGaslessOpen(client(), { deployment, open })).toEqual({ status: 'used' })
})

test('that a stranger sends before the provider does, it is open and pays', async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  const { open, channelId, proof } = await signed(await gasless(), { signer: account.address })
  if (!proof) throw new Error('no proof')
  await relayGaslessOpen(stranger(), { deployment: fixture.chain.deployment, open })
  const before = await sent()
  const outcome = await request(open)
  expect(outcome).toMatchObject({ status: 'opened', channelId })
  expect(outcome).not.toHaveProperty('txHash')
  expect(await sent()).toBe(before)
  expect((await pay(channelId, price, { account, proof }, true)).status).toBe(200)
})

test('once cancelled, no relay opens it', async () => {
  const { chain, consumer } = fixture
  const { deployment } = chain
  const { open } = await signed(consumer)
  const cancelled = await cancelGaslessOpen(chain.walletClient(consumer), { deployment, open })
  expect(cancelled.status).toBe('cancelled')
  expect(await request(open)).toMatchObject({ status: 'refused', code: 'authorization_used' })
})

test('what the relay refuses has its code', async () => {
  const refused = async (account: LocalAccount, change: Partial<signGaslessOpen.Parameters> = {}) => {
    const outcome = await request((await signed(account, change)).open)
    return outcome.status === 'refused' && outcome.code
  }
  const before = await sent()
  expect(await refused(await gasless(), { amount: 99_999n })).toBe('channel_terms')
  expect(await refused(await gasless(), { duration: 60n })).toBe('channel_terms')
  expect(await refused(await gasless(), { provider: fixture.stranger.address })).toBe('wrong_provider')
  // Too short to be mined in time.
  expect(await refused(await gasless(), { validBefore: paywall.now() + 10n })).toBe('authorization_expired')
  const { open } = await signed(await gasless())
  expect(await request({ ...open, amount: 2n * deposit })).toMatchObject({ code: 'invalid_signature' })
  const spent = await gasless('1')
  const [first, second] = [await signed(spent), await signed(spent)]
  expect((await request(first.open)).status).toBe('opened')
  expect(await request(second.open)).toMatchObject({ status: 'refused', code: 'insufficient_balance' })
  expect(await sent()).toBe(before + 1)
  const off = await listen(fixture.paywall())
  expect(await request(open, { origin: off })).toMatchObject({ status: 'refused', code: 'no_relay' })
})

test('while gas is dear it is pending; the same request opens it later', async () => {
  const { testClient } = fixture.chain
  const { open, channelId } = await signed(await gasless())
  const baseFee = async (baseFeePerGas: bigint) => {
    await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas })
    await testClient.mine({ blocks: 1 })
  }
  await baseFee(10n ** 12n)
  const pending = await request(open)
  expect(pending).toMatchObject({ status: 'pending', code: 'gas_price', channelId, retryAfterSeconds: 60 })
  await baseFee(10n ** 9n)
  expect(await request(open)).toMatchObject({ status: 'opened', channelId })
})

test('while it is not mined it is pending; the same request finds it later, and nothing is sent twice', async () => {
  const { testClient } = fixture.chain
  const { open, channelId } = await signed(await gasless())
  const before = await sent()
  await testClient.setAutomine(false)
  try {
    const { address } = fixture.provider
    const impatient = request(open, { timeout: 2_000 })
    await expect.poll(() => client().getTransactionCount({ address, blockTag: 'pending' })).toBe(before + 1)
    expect(await impatient).toMatchObject({ status: 'pending', code: 'no_answer', channelId })
    const { deployment } = fixture.chain
    expect(await getGaslessOpen(client(), { deployment, open })).toEqual({ status: 'valid' })
    const later = request(open)
    await testClient.mine({ blocks: 1 })
    expect(await later).toMatchObject({ status: 'opened', channelId })
  } finally {
    await testClient.setAutomine(true)
  }
  expect(await sent()).toBe(before + 1)
})

test('a provider that is gone: a stranger frees the deposit a day after expiry; what was signed and not sent is void', async () => {
  const { chain } = fixture
  const { deployment, testClient } = chain
  const { consumer, channelId } = await openGasless()
  const { open: unsent } = await signed(consumer)
  await testClient.increaseTime({ seconds: Number(2n * day) })
  await testClient.mine({ blocks: 1 })
  expect(await request(unsent)).toMatchObject({ status: 'refused', code: 'authorization_expired' })
  expect(await getGaslessOpen(client(), { deployment, open: unsent })).toEqual({ status: 'expired' })
  expect(await closeFor(stranger(), { deployment, channelId })).toMatchObject({ refund: deposit })
  expect(await fixture.balance(consumer.address)).toBe(Usdc.parse('5'))
  expect(await client().getBalance({ address: consumer.address })).toBe(0n)
})
