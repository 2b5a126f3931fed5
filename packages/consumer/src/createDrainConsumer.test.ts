import {
  ChannelNotFoundError,
  CloseAuthorization,
  Domain,
  InsufficientAllowanceError,
  InvalidAmountError,
  Signature,
  TransactionRevertedError,
  UnknownDeploymentError,
  Voucher,
} from '@drain/core'
import { createWalletClient, custom, http } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDrainConsumer, type DrainConsumer } from './createDrainConsumer.ts'
import { type LocalChain, startLocalChain } from './testing/index.ts'

let chain: LocalChain
let consumer: DrainConsumer
const config = () => ({
  chainId: chain.chainId,
  contractAddress: chain.deployment.contract,
  usdcAddress: chain.deployment.token,
})
beforeAll(async () => {
  chain = await startLocalChain()
  consumer = createDrainConsumer(chain.walletClient(chain.accounts[0]), chain.accounts[0], config())
})
afterAll(() => chain.close())

const openChannel = async (amount = '10') => {
  await consumer.approveUsdc(amount)
  return consumer.openChannel({ provider: chain.accounts[1].address, amount, duration: '24h' })
}

test('the original SDK’s way: approve, open, sign, look, close', async () => {
  expect(await consumer.getUsdcBalance()).toBe('10000')
  await expect(consumer.openChannel({ ...opening(), amount: '10' })).rejects.toThrow(
    InsufficientAllowanceError,
  )
  expect(await consumer.approveUsdc('10.5')).toMatch(/^0x[0-9a-f]{64}$/)
  expect(await consumer.getAllowance()).toBe('10.5')

  const { channelId, txHash, channel } = await consumer.openChannel({ ...opening(), amount: '10' })
  expect(txHash).toMatch(/^0x[0-9a-f]{64}$/)
  expect(channel).toMatchObject({ id: channelId, deposit: 10_000_000n, claimed: 0n })
  expect(await consumer.getChannel(channelId)).toEqual(channel)
  expect(await consumer.getChannelBalance(channelId)).toBe('10')
  expect(await consumer.getUsdcBalance()).toBe('9990')
  expect(await consumer.getAllowance()).toBe('0.5')

  const voucher = await consumer.signVoucher(channelId, '0.50')
  expect(voucher).toMatchObject({ channelId, amount: 500_000n })
  const digest = Voucher.digest(voucher, Domain.separator(chain.deployment))
  expect(Signature.isValid(digest, voucher.signature, chain.accounts[0].address)).toBe(true)

  await expect(consumer.closeChannel(channelId)).rejects.toThrow(TransactionRevertedError)
  await chain.testClient.increaseTime({ seconds: 86_400 })
  await chain.testClient.mine({ blocks: 1 })
  expect(await consumer.closeChannel(channelId)).toMatch(/^0x[0-9a-f]{64}$/)
  expect(await consumer.getUsdcBalance()).toBe('10000')
  await expect(consumer.getChannel(channelId)).rejects.toThrow(ChannelNotFoundError)
  await expect(consumer.getChannelBalance(channelId)).rejects.toThrow(ChannelNotFoundError)
})
const opening = () => ({ provider: chain.accounts[1].address, duration: '24h' })

test('closes early with the provider’s signature over a USDC amount', async () => {
  const { channelId } = await openChannel('2')
  const finalAmount = 750_000n
  const typedData = CloseAuthorization.typedData({ channelId, finalAmount }, chain.deployment)
  const signature = await chain.accounts[1].signTypedData(typedData)
  await consumer.cooperativeClose(channelId, '0.75', signature)
  expect(await consumer.getUsdcBalance()).toBe('9999.25')
})

test('no two vouchers share a nonce: in parallel, unsigned ones, after a restart', async () => {
  const { channelId } = await openChannel('1')
  const parallel = await Promise.all(
    Array.from({ length: 20 }, (_, index) => consumer.signVoucher(channelId, `0.${index + 10}`)),
  )
  const unsigned = consumer.createUnsignedVoucher(channelId, '0.5')
  expect(unsigned).toEqual({ channelId, amount: 500_000n, nonce: unsigned.nonce })
  const upperCase = `0x${channelId.slice(2).toUpperCase()}` as const
  const sameChannel = await consumer.signVoucher(upperCase, '0.6')
  const restarted = createDrainConsumer(chain.walletClient(chain.accounts[0]), chain.accounts[0], config())
  const later = await restarted.signVoucher(channelId, '0.7')

  const nonces = [...parallel, unsigned, sameChannel, later].map(({ nonce }) => nonce)
  expect(new Set(nonces).size).toBe(nonces.length)
  expect(nonces).toEqual([...nonces].sort((a, b) => (a < b ? -1 : 1)))
  // Within a provider's window of 1,024, in whatever order they arrive.
  expect((nonces[21] ?? 0n) - (nonces[0] ?? 0n)).toBe(21n)
})

test('an account apart from the wallet client, which knows no chain', async () => {
  const walletClient = createWalletClient({ transport: http(chain.rpcUrl), pollingInterval: 20 })
  const other = createDrainConsumer(walletClient, chain.accounts[2], config())
  await other.approveUsdc('1')
  const { channel } = await other.openChannel({ ...opening(), amount: '1', duration: 3_600 })
  expect(channel.consumer).toBe(chain.accounts[2].address)
})

test('with rpcUrl the wallet only signs and sends', async () => {
  const methods = new Set<string>()
  const walletClient = createWalletClient({
    chain: chain.chain,
    account: chain.accounts[3].address,
    pollingInterval: 20,
    transport: custom({
      request: (call) => {
        methods.add(call.method)
        return chain.publicClient.request(call as never)
      },
    }),
  })
  const browser = createDrainConsumer(walletClient, chain.accounts[3].address, {
    ...config(),
    rpcUrl: chain.rpcUrl,
  })
  await browser.approveUsdc('1')
  const { channelId } = await browser.openChannel({ ...opening(), amount: '1' })
  const voucher = await browser.signVoucher(channelId, '0.1')
  expect(voucher.signature).toMatch(/^0x[0-9a-f]{130}$/)
  expect([...methods].sort()).toEqual(['eth_chainId', 'eth_sendTransaction', 'eth_signTypedData_v4'])
})

test('amounts that cannot be represented are refused', async () => {
  for (const amount of ['0.0000001', '-1', '1e3', '', '1,5']) {
    await expect(consumer.approveUsdc(amount)).rejects.toThrow(InvalidAmountError)
    await expect(consumer.signVoucher(`0x${'11'.repeat(32)}`, amount)).rejects.toThrow(InvalidAmountError)
  }
})

test('knows the live contracts, and asks for the addresses of others', () => {
  const { walletClient, accounts } = chain
  const polygon = createDrainConsumer(walletClient(accounts[0]), accounts[0], { chainId: 137 })
  expect(polygon.getContractAddress()).toBe('0x0C2B3aA1e80629D572b1f200e6DF3586B3946A8A')
  expect(polygon.getUsdcAddress()).toBe('0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359')
  expect(() => createDrainConsumer(walletClient(accounts[0]), accounts[0], { chainId: 31337 })).toThrow(
    UnknownDeploymentError,
  )
})
