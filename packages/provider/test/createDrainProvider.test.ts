import { Channel, ChannelNotFoundError, TransactionRevertedError, Voucher } from '@drain/core'
import { createDrainProvider, createDrainProviderWithWallet } from '@drain/provider'
import type { Hex } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

let fixture: Fixture
let channel: OpenChannel
beforeAll(async () => {
  fixture = await startFixture()
  channel = await fixture.open({ amount: '2' })
})
afterAll(() => fixture?.close())

const config = () => {
  const { deployment, rpcUrl, chainId } = fixture.chain
  const { address: provider } = fixture.provider
  return { chainId, rpcUrl, contractAddress: deployment.contract, usdcAddress: deployment.token, provider }
}
const sign = async (amount: bigint, nonce: bigint, id: Hex = channel.id) => {
  const unsigned = { channelId: id, amount, nonce }
  const typedData = Voucher.typedData(unsigned, fixture.chain.deployment)
  return { ...unsigned, signature: await fixture.consumer.signTypedData(typedData) }
}

describe('verifyVoucher', () => {
  test('tells what a claim would pay and what this voucher adds', async () => {
    const provider = createDrainProvider(config())
    expect(await provider.verifyVoucher(await sign(500_000n, 1n))).toMatchObject({
      valid: true,
      signer: fixture.consumer.address,
      channel: { id: channel.id, deposit: 2_000_000n },
      payout: 500_000n,
      payoutFormatted: '0.5',
      increase: 500_000n,
    })
    const next = await provider.verifyVoucher(await sign(700_000n, 2n))
    expect(next).toMatchObject({ valid: true, payout: 700_000n, increase: 200_000n })
    const idle = await provider.verifyVoucher(await sign(700_000n, 3n))
    expect(idle).toMatchObject({ valid: false, code: 'insufficient_funds' })
  })

  test('of 20 calls at once with one voucher, one passes', async () => {
    const provider = createDrainProvider(config())
    const voucher = await sign(500_000n, 1n)
    const results = await Promise.all(Array.from({ length: 20 }, () => provider.verifyVoucher(voucher)))
    expect(results.filter(({ valid }) => valid)).toHaveLength(1)
    expect(provider.getHighestNonce(channel.id.toUpperCase().replace('0X', '0x') as Hex)).toBe(1n)
  })

  test.each([
    ['a used nonce', 'invalid_nonce', () => sign(1n, 5n)],
    ['more than the deposit', 'exceeds_deposit', () => sign(2_000_001n, 9n)],
    ['a changed amount', 'invalid_signature', async () => ({ ...(await sign(1n, 9n)), amount: 2n })],
    ['a channel nobody opened', 'channel_not_found', () => sign(1n, 9n, `0x${'7'.repeat(64)}`)],
    [
      'an id that is none',
      'unavailable',
      async () => ({ ...(await sign(1n, 9n)), channelId: '0x12' as Hex }),
    ],
  ])('refuses %s', async (_, code, make) => {
    const provider = createDrainProvider(config())
    provider.setHighestNonce(channel.id, 5n)
    expect(await provider.verifyVoucher(await make())).toMatchObject({
      valid: false,
      code,
      error: expect.any(String),
    })
  })

  test('refuses a channel that pays somebody else', async () => {
    const { provider: owner, stranger } = fixture
    const voucher = await sign(1n, 1n)
    const other = createDrainProvider({ ...config(), provider: stranger.address })
    expect(await other.verifyVoucher(voucher)).toMatchObject({ valid: false, code: 'wrong_provider' })
    const own = createDrainProviderWithWallet(config(), fixture.chain.walletClient(owner), owner)
    expect(await own.verifyVoucher(voucher)).toMatchObject({ valid: true })
    expect(() => createDrainProvider({ ...config(), provider: undefined as never })).toThrow(/Pass provider/)
  })
})

test('claims, and says why the contract refuses', async () => {
  const { provider: owner, stranger, chain } = fixture
  const provider = createDrainProviderWithWallet(config(), chain.walletClient(owner), owner)
  const earned = await fixture.balance(owner.address)
  expect(await provider.claim(await sign(300_000n, 1n))).toMatch(/^0x[0-9a-f]{64}$/)
  expect(await fixture.balance(owner.address)).toBe(earned + 300_000n)
  expect(await provider.getChannelBalance(channel.id)).toBe('1.7')
  expect(await provider.verifyVoucher(await sign(300_000n, 2n))).toMatchObject({ code: 'insufficient_funds' })

  await expect(provider.claim(await sign(300_000n, 3n))).rejects.toThrow(TransactionRevertedError)
  await expect(provider.claim({ ...(await sign(400_000n, 4n)), amount: 400_001n })).rejects.toThrow(
    TransactionRevertedError,
  )
  await expect(provider.claim(await sign(1n, 1n, `0x${'7'.repeat(64)}`))).rejects.toThrow(
    ChannelNotFoundError,
  )
  const thief = createDrainProviderWithWallet(config(), chain.walletClient(stranger), stranger)
  await expect(thief.claim(await sign(400_000n, 5n))).rejects.toThrow(/provider/)
  await expect(createDrainProvider(config()).claim(await sign(400_000n, 6n))).rejects.toThrow(
    /createDrainProviderWithWallet/,
  )
})

test('tells the time that is left', async () => {
  const provider = createDrainProvider(config())
  const left = await provider.getTimeUntilExpiry(channel.id)
  expect(left).toBeGreaterThan(80_000)
  expect(left).toBeLessThanOrEqual(86_400)
  expect(await provider.isChannelExpired(channel.id)).toBe(false)
  expect(Channel.exists(await provider.getChannel(`0x${'7'.repeat(64)}`))).toBe(false)
  expect(provider.getContractAddress()).toBe(fixture.chain.deployment.contract)
})
