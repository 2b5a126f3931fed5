/** Openings whose outcome is open for a while: no second deposit is locked meanwhile. */
import { encodeFunctionData, erc20Abi } from 'viem'
import { expect, test } from 'vitest'
import { approveUsdc } from '../actions/approveUsdc.ts'
import { TransactionPendingError } from '../actions/transact.ts'
import { memoryStore } from '../store/memory.ts'
import { startLocalChain } from '../testing/index.ts'
import { createBook } from './Book.ts'
import { createChannelBook } from './ChannelBook.ts'
import { createChannelOpener } from './ChannelOpener.ts'
import { createChannelSigner } from './ChannelSigner.ts'
import * as Limits from './Limits.ts'
import { createLeases } from './leases.ts'
import { createTake } from './take.ts'
import { createWallet } from './Wallet.ts'

async function setUp() {
  const chain = await startLocalChain()
  const { deployment, testClient } = chain
  const [consumer, provider] = chain.accounts
  const limits = Limits.parse({ perRequest: '1', perChannel: '5' })
  const parts = { account: undefined, chain: undefined, rpcUrl: undefined, deployment }
  const wallet = createWallet({ ...parts, walletClient: chain.walletClient(consumer) })
  wallet.parameters.timeout = 300
  const store = memoryStore()
  const book = createBook(store, 'test/')
  const now = Date.now
  const client = 'a'
  const channels = createChannelBook({ book, deployment, consumer: consumer.address, limits, client, now })
  const goneChannels = {
    closeRefused: async () => {},
    closeExpired: async () => {},
    assertFewRefused: () => {},
  }
  const signer = createChannelSigner({ wallet, store })
  const leases = createLeases(book, client, now)
  const opener = createChannelOpener({
    ...{ fetch, wallet, signer, book, channels, goneChannels, leases, limits, now },
    gasless: false,
    onOpened: () => {},
  })
  const need = {
    ...{ origin: 'https://a.example', provider: provider.address, quote: 1_000n, terms: () => ({}) },
    canRelay: false,
  }
  // The approval is mined, the opening is not.
  await approveUsdc(wallet.client, { ...wallet.parameters, amount: 5_000_000n })
  await testClient.setAutomine(false)
  const close = () => chain.close()
  const take = createTake(channels, async () => opener)
  return { chain, channels, take, need, [Symbol.asyncDispose]: close }
}

test('an opening that is mined late is found; none is sent beside it', async () => {
  await using set = await setUp()
  const { chain, channels, take, need } = set
  await expect(take(need)).rejects.toThrow(TransactionPendingError)
  await expect(take(need)).rejects.toThrow(TransactionPendingError)
  expect((await chain.testClient.getTxpoolStatus()).pending).toBe(1)
  await chain.testClient.mine({ blocks: 1 })
  const { channelId } = await take(need)
  expect(channels.list().map((record) => record.channelId)).toEqual([channelId])
})

test('after an opening that failed the next one is sent', async () => {
  await using set = await setUp()
  const { chain, channels, take, need } = set
  await expect(take(need)).rejects.toThrow(TransactionPendingError)
  // By the time it is mined, the allowance is gone.
  const { contract, token } = chain.deployment
  const [consumer] = chain.accounts
  await chain.testClient.impersonateAccount({ address: contract })
  await chain.testClient.setBalance({ address: contract, value: 10n ** 18n })
  const transfer = encodeFunctionData({
    abi: erc20Abi,
    functionName: 'transferFrom',
    args: [consumer.address, contract, 5_000_000n],
  })
  const fees = { maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n }
  await chain.walletClient(contract).sendTransaction({ to: token, data: transfer, ...fees })
  await chain.testClient.mine({ blocks: 1 })
  await chain.testClient.setAutomine(true)
  const { channelId } = await take(need)
  expect(channels.list().map((record) => record.channelId)).toEqual([channelId])
})
