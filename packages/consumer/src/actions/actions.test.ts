import {
  ChannelNotFoundError,
  ChannelRequest,
  CloseAuthorization,
  type Deployment,
  Domain,
  DrainError,
  drainChannelAbi,
  FeatureUnavailableError,
  InsufficientAllowanceError,
  InsufficientBalanceError,
  InvalidAmountError,
  InvalidDurationError,
  InvalidFormatError,
  Signature,
  TransactionRevertedError,
  Voucher,
} from '@drain/core'
import { type Client, createClient, custom, type Hex, RpcRequestError, zeroAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount, toAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { fiatTokenAbi, type LocalChain, startLocalChain } from '../testing/index.ts'
import { approveUsdc } from './approveUsdc.ts'
import { closeChannel } from './closeChannel.ts'
import { cooperativeClose } from './cooperativeClose.ts'
import { getAllowance } from './getAllowance.ts'
import { getChannel } from './getChannel.ts'
import { getChannelBalance } from './getChannelBalance.ts'
import { getUsdcBalance } from './getUsdcBalance.ts'
import { openChannel } from './openChannel.ts'
import { signChannelRequest } from './signChannelRequest.ts'
import { signVoucher } from './signVoucher.ts'
import { TransactionPendingError } from './transact.ts'

let chain: LocalChain
let wallet: Client
let deployment: Deployment.Deployment
let snapshot: Hex
beforeAll(async () => {
  chain = await startLocalChain()
  deployment = chain.deployment
  wallet = chain.walletClient(chain.accounts[0])
  snapshot = await chain.testClient.snapshot()
})
beforeEach(async () => {
  await chain.testClient.revert({ id: snapshot })
  snapshot = await chain.testClient.snapshot()
  await chain.testClient.setAutomine(true)
})
afterAll(() => chain.close())

const usdc = 1_000_000n
const day = 86_400n
const noChannel: Hex = `0x${'ab'.repeat(32)}`
const terms = () => ({ deployment, provider: chain.accounts[1].address, amount: 10n * usdc, duration: day })

async function open() {
  await approveUsdc(wallet, { deployment, amount: 10n * usdc })
  return openChannel(wallet, terms())
}

function sendAsProvider(functionName: 'claim' | 'claimAndClose', args: never) {
  const provider = chain.walletClient(chain.accounts[1])
  const call = { address: deployment.contract, abi: drainChannelAbi, functionName, args } as const
  return provider.writeContract(call).then((hash) => chain.publicClient.waitForTransactionReceipt({ hash }))
}

async function authorizeClose(channelId: Hex, finalAmount: bigint, signer = chain.accounts[1]) {
  return signer.signTypedData(CloseAuthorization.typedData({ channelId, finalAmount }, deployment))
}

test('approves exactly what is asked, in place of what was', async () => {
  await approveUsdc(wallet, { deployment, amount: 5n })
  const { txHash } = await approveUsdc(wallet, { deployment, amount: 3n })
  expect((await chain.publicClient.getTransactionReceipt({ hash: txHash })).status).toBe('success')
  expect(await getAllowance(wallet, { deployment })).toBe(3n)
  expect(await getAllowance(wallet, { deployment, account: chain.accounts[1].address })).toBe(0n)
})

test('opens a channel and answers what the chain has', async () => {
  const { channelId, txHash, channel } = await open()
  const receipt = await chain.publicClient.getTransactionReceipt({ hash: txHash })
  const { timestamp } = await chain.publicClient.getBlock({ blockNumber: receipt.blockNumber })
  expect(channel).toEqual({
    id: channelId,
    consumer: chain.accounts[0].address,
    provider: chain.accounts[1].address,
    deposit: 10n * usdc,
    claimed: 0n,
    expiry: timestamp + day,
  })
  expect(await getChannel(wallet, { deployment, channelId })).toEqual(channel)
  expect(await getChannelBalance(wallet, { deployment, channelId })).toBe(10n * usdc)
  expect(await getUsdcBalance(wallet, { deployment })).toBe(9_990n * usdc)
  expect(await getAllowance(wallet, { deployment })).toBe(0n)
})

test('a second equal channel has another id', async () => {
  const [first, second] = [await open(), await open()]
  expect(second.channelId).not.toBe(first.channelId)
})

test('channels opened at the same time by one account are told apart', async () => {
  await approveUsdc(wallet, { deployment, amount: 3n * usdc })
  const amounts = [usdc, usdc / 2n, usdc / 4n]
  await chain.testClient.setAutomine(false)
  const [{ address }] = chain.accounts
  const next = await chain.publicClient.getTransactionCount({ address })
  // Each opening gets its own account nonce, as a wallet would give it.
  const opened = Promise.all(
    amounts.map((amount, index) =>
      openChannel(wallet, { ...terms(), amount, account: withNonce(next + index) }),
    ),
  )
  await expect.poll(async () => (await chain.testClient.getTxpoolStatus()).pending).toBe(3)
  await chain.testClient.mine({ blocks: 1 })
  const channels = await opened
  expect(channels.map(({ channel }) => channel.deposit)).toEqual(amounts)
  expect(new Set(channels.map(({ channelId }) => channelId)).size).toBe(3)
})

function withNonce(nonce: number) {
  const consume = async () => nonce
  const nonceManager = { consume, get: consume, increment: () => {}, reset: () => {} }
  return { ...chain.accounts[0], nonceManager }
}

test('refuses impossible terms before anything is sent', async () => {
  const before = await chain.publicClient.getBlockNumber()
  const attempt = (change: Partial<openChannel.Parameters>) => openChannel(wallet, { ...terms(), ...change })
  await expect(attempt({ amount: 0n })).rejects.toThrow(InvalidAmountError)
  await expect(attempt({ amount: 2n ** 64n })).rejects.toThrow(InvalidAmountError)
  await expect(attempt({ duration: 0n })).rejects.toThrow(InvalidDurationError)
  await expect(attempt({ duration: 365n * day + 1n })).rejects.toThrow(/at most 365 days/)
  await expect(attempt({ provider: zeroAddress })).rejects.toThrow(InvalidFormatError)
  await expect(attempt({ provider: chain.accounts[0].address })).rejects.toThrow(/the consumer itself/)
  await expect(attempt({ provider: deployment.contract })).rejects.toThrow(/the channel contract/)
  await expect(attempt({ provider: '0x1234' })).rejects.toThrow(InvalidFormatError)
  const misspelt = chain.accounts[1].address.replace('C', 'c') as Hex
  await expect(attempt({ provider: misspelt })).rejects.toThrow(/checksum/)
  expect(await chain.publicClient.getBlockNumber()).toBe(before)
})

test('says that a wallet cannot pay for gas', async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  await chain.fund(account.address, '10')
  const poor = chain.walletClient(account)
  const error = await approveUsdc(poor, { deployment, amount: 5n }).catch((thrown) => thrown)
  expect(error).toBeInstanceOf(DrainError)
  expect(error).toMatchObject({ code: 'insufficient_gas' })
  expect(error.message).toContain(`The wallet ${account.address} has too little`)
  expect(error.message).toMatch(/on chain 31337 to pay for gas\. Send some to it/)
  expect(error.message).not.toContain('\n')

  await chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  await approveUsdc(poor, { deployment, amount: 10n * usdc })
  await chain.testClient.setBalance({ address: account.address, value: 1n })
  await expect(openChannel(poor, terms())).rejects.toMatchObject({ code: 'insufficient_gas' })
})

test('an account that Geth finds empty while it estimates gas', async () => {
  const answer = async ({ method, params }: { method: string; params?: unknown }) => {
    const estimates = method === 'eth_estimateGas' || method === 'eth_fillTransaction'
    if (!estimates) return chain.publicClient.request({ method, params } as never)
    throw new RpcRequestError({ body: {}, url: '', error: { code: -32000, message: gethMessage } })
  }
  const gethMessage = 'gas required exceeds allowance (0)'
  const [account] = chain.accounts
  const client = createClient({ account, transport: custom({ request: answer }, { retryCount: 0 }) })
  await expect(approveUsdc(client, { deployment, amount: 5n })).rejects.toMatchObject({
    code: 'insufficient_gas',
  })
})

test('says how much USDC or allowance is missing, and sends nothing', async () => {
  const before = await chain.publicClient.getBlockNumber()
  const tooMuch = openChannel(wallet, { ...terms(), amount: 10_001n * usdc })
  await expect(tooMuch).rejects.toThrow(InsufficientBalanceError)
  await expect(tooMuch).rejects.toThrow(/holds 10000\.000000 USDC, the deposit is 10001\.000000 USDC/)
  await expect(openChannel(wallet, terms())).rejects.toThrow(InsufficientAllowanceError)
  await expect(openChannel(wallet, terms())).rejects.toThrow(
    /take 0\.000000 USDC .* deposit is 10\.000000 USDC/,
  )
  expect(await chain.publicClient.getBlockNumber()).toBe(before)
})

test('a blocked wallet is told so before it sends', async () => {
  await approveUsdc(wallet, { deployment, amount: 10n * usdc })
  const issuer = chain.walletClient(chain.issuer)
  const hash = await issuer.writeContract({
    address: deployment.token,
    abi: fiatTokenAbi,
    functionName: 'blacklist',
    args: [chain.accounts[0].address],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
  await expect(openChannel(wallet, terms())).rejects.toThrow(/Circle has blocked/)
})

test('an older contract lacks what it lacks', async () => {
  const older = { ...deployment, features: ['claim'] as const, channelIds: 'timestamp' as const }
  await expect(openChannel(wallet, { ...terms(), deployment: older })).rejects.toThrow(
    FeatureUnavailableError,
  )
  const close = { deployment: older, channelId: noChannel }
  await expect(closeChannel(wallet, close)).rejects.toThrow(FeatureUnavailableError)
  const early = cooperativeClose(wallet, { ...close, finalAmount: 0n, providerSignature: '0x' })
  await expect(early).rejects.toThrow(/Wait for the expiry and use close/)
})

test('an id that does not bind the terms is noticed', async () => {
  await approveUsdc(wallet, { deployment, amount: 10n * usdc })
  // The right contract under the wrong chain id makes ids that this deployment does not expect.
  const wrong = { ...deployment, chainId: 1 }
  const unchecked = createClient({
    transport: custom(wallet),
    account: chain.accounts[0],
    pollingInterval: 20,
  })
  await expect(openChannel(unchecked, { ...terms(), deployment: wrong })).rejects.toThrow(/chain/)
  const pretending = createClient({
    transport: custom({
      request: async (call) => (call.method === 'eth_chainId' ? '0x1' : wallet.request(call as never)),
    }),
    account: chain.accounts[0].address,
    pollingInterval: 20,
  })
  const opening = openChannel(pretending, { ...terms(), deployment: wrong })
  await expect(opening).rejects.toMatchObject({ code: 'unexpected_contract' })
})

test('closes after expiry, with the refund from the event', async () => {
  const { channelId } = await open()
  const early = closeChannel(wallet, { deployment, channelId })
  await expect(early).rejects.toThrow(TransactionRevertedError)
  await expect(early).rejects.toMatchObject({ reason: 'NotExpired', transactionHash: undefined })

  const voucher = await signVoucher(wallet, { deployment, channelId, amount: 4n * usdc, nonce: 1n })
  await sendAsProvider('claim', [channelId, voucher.amount, voucher.nonce, voucher.signature] as never)
  expect(await getChannelBalance(wallet, { deployment, channelId })).toBe(6n * usdc)

  await chain.testClient.increaseTime({ seconds: Number(day) })
  await chain.testClient.mine({ blocks: 1 })
  const stranger = chain.walletClient(chain.accounts[2])
  await expect(closeChannel(stranger, { deployment, channelId })).rejects.toMatchObject({
    reason: 'NotConsumer',
  })
  expect((await closeChannel(wallet, { deployment, channelId })).refund).toBe(6n * usdc)
  expect(await getUsdcBalance(wallet, { deployment })).toBe(9_996n * usdc)

  for (const read of [getChannel, getChannelBalance, closeChannel]) {
    await expect(read(wallet, { deployment, channelId })).rejects.toThrow(ChannelNotFoundError)
  }
})

test('closes early with the provider’s consent, for the amount it signed', async () => {
  const { channelId } = await open()
  const finalAmount = 3n * usdc
  const providerSignature = await authorizeClose(channelId, finalAmount)
  const close = { deployment, channelId, providerSignature }
  const other = cooperativeClose(wallet, { ...close, finalAmount: usdc })
  await expect(other).rejects.toMatchObject({ reason: 'InvalidSignature' })
  expect((await cooperativeClose(wallet, { ...close, finalAmount })).refund).toBe(7n * usdc)
  expect(await getUsdcBalance(wallet, { deployment, account: chain.accounts[1].address })).toBe(
    10_003n * usdc,
  )
})

test('a transaction that fails when it is mined is an error with its reason', async () => {
  const { channelId } = await open()
  await chain.testClient.increaseTime({ seconds: Number(day) })
  await chain.testClient.mine({ blocks: 1 })
  await chain.testClient.setAutomine(false)
  // Both were fine when they were simulated; one of them is mined second.
  const [{ address }] = chain.accounts
  const first = await chain.publicClient.getTransactionCount({ address })
  const together = sendingTogether(2)
  const closings = [first, first + 1].map((nonce) =>
    closeChannel(together, { deployment, channelId, account: withNonce(nonce) }).catch((error) => error),
  )
  await expect.poll(async () => (await chain.testClient.getTxpoolStatus()).pending).toBe(2)
  await chain.testClient.mine({ blocks: 1 })
  const [closed, failed] = await Promise.all(closings)
  expect(closed).toMatchObject({ refund: 10n * usdc })
  expect(failed).toBeInstanceOf(TransactionRevertedError)
  expect(failed).toMatchObject({ reason: 'ChannelNotFound', transactionHash: expect.stringMatching(/^0x/) })
  expect(failed.message).toMatch(/was mined and failed/)
})

/** A wallet that holds transactions back until so many are ready: one that is in the pool spoils the estimate of the next. */
function sendingTogether(count: number): Client {
  let ready = 0
  let open: () => void = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  return createClient({
    chain: chain.chain,
    account: chain.accounts[0],
    pollingInterval: 20,
    transport: custom({
      async request(call) {
        if (call.method === 'eth_sendRawTransaction') {
          if (++ready === count) open()
          await gate
        }
        return wallet.request(call as never)
      },
    }),
  })
}

test('a transaction replaced in the wallet did not happen', async () => {
  await chain.testClient.setAutomine(false)
  const approval = approveUsdc(wallet, { deployment, amount: 5n }).catch((error) => error)
  await expect.poll(async () => (await chain.testClient.getTxpoolStatus()).pending).toBe(1)
  const account = chain.accounts[0]
  const nonce = await chain.publicClient.getTransactionCount({ address: account.address })
  await chain.walletClient(account).sendTransaction({
    to: account.address,
    nonce,
    maxFeePerGas: 10n ** 12n,
    maxPriorityFeePerGas: 10n ** 11n,
  })
  await chain.testClient.mine({ blocks: 1 })
  const error = await approval
  expect(error).toBeInstanceOf(TransactionRevertedError)
  expect(error).toMatchObject({ reason: 'replaced' })
})

test('a node that goes away after the sending leaves the outcome open', async () => {
  let sent = false
  const flaky = createClient({
    chain: chain.chain,
    account: chain.accounts[0],
    pollingInterval: 20,
    transport: custom(
      {
        async request(call) {
          if (sent) throw new Error('out of reach')
          const result = await wallet.request(call as never)
          if (call.method === 'eth_sendRawTransaction') sent = true
          return result
        },
      },
      { retryCount: 0 },
    ),
  })
  const error = await approveUsdc(flaky, { deployment, amount: 5n, timeout: 300 }).catch((error) => error)
  expect(error).toBeInstanceOf(TransactionPendingError)
  const receipt = await chain.publicClient.waitForTransactionReceipt({ hash: error.transactionHash })
  expect(receipt.status).toBe('success')
})

test('sends on the deployment’s chain only', async () => {
  const elsewhere = { ...deployment, chainId: 137 }
  const attempt = approveUsdc(wallet, { deployment: elsewhere, amount: 1n })
  await expect(attempt).rejects.toThrow(/does not match the target chain/)
})

test('reads and waits over another connection where one is given', async () => {
  const methods: string[] = []
  const walletOnly = createClient({
    chain: chain.chain,
    account: chain.accounts[0],
    transport: custom({
      request: (call) => {
        methods.push(call.method)
        return wallet.request(call as never)
      },
    }),
  })
  const { publicClient } = chain
  await approveUsdc(walletOnly, { deployment, amount: 10n * usdc, publicClient })
  await openChannel(walletOnly, { ...terms(), publicClient })
  expect(methods).not.toContain('eth_call')
  expect(methods).not.toContain('eth_getTransactionReceipt')
})

test('needs an account', async () => {
  const nobody = createClient({ chain: chain.chain, transport: custom(wallet) })
  await expect(getUsdcBalance(nobody, { deployment })).rejects.toMatchObject({ code: 'account_missing' })
  const { address } = chain.accounts[0]
  expect(await getUsdcBalance(nobody, { deployment, account: address })).toBe(10_000n * usdc)
})

test('signs vouchers and requests that the contract’s rules accept', async () => {
  const separator = Domain.separator(deployment)
  const { address } = chain.accounts[0]
  const amount = 500_000n
  const voucher = await signVoucher(wallet, { deployment, channelId: noChannel, amount, nonce: 7n })
  expect(voucher).toMatchObject({ channelId: noChannel, amount, nonce: 7n })
  expect(Signature.isValid(Voucher.digest(voucher, separator), voucher.signature, address)).toBe(true)
  const wanted = { deployment, channelId: noChannel, action: 'close', deadline: 1_800_000_000n } as const
  const request = await signChannelRequest(wallet, wanted)
  expect(Signature.isValid(ChannelRequest.digest(request, separator), request.signature, address)).toBe(true)
})

test('keys in the process, custom accounts and wallets sign the same', async () => {
  const sign = (client: Client, account = client.account) =>
    signVoucher(client, { deployment, account, channelId: noChannel, amount: 5n, nonce: 1n })
  const { signature } = await sign(wallet)
  const { address, signMessage, signTransaction, signTypedData } = chain.accounts[0]
  const customAccount = toAccount({ address, signMessage, signTransaction, signTypedData })
  expect((await sign(wallet, customAccount)).signature).toBe(signature)
  expect((await sign(chain.walletClient(address))).signature).toBe(signature)
})

test('a hardware wallet’s v is made plain, any other form is refused', async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  const answering = (change: (signature: Hex) => Hex) =>
    toAccount({
      ...account,
      signTypedData: async (data) => change(await account.signTypedData(data as never)),
    })
  const sign = (change: (signature: Hex) => Hex) =>
    signVoucher(wallet, {
      deployment,
      account: answering(change),
      channelId: noChannel,
      amount: 5n,
      nonce: 1n,
    })
  const plain = await signVoucher(wallet, {
    deployment,
    account,
    channelId: noChannel,
    amount: 5n,
    nonce: 1n,
  })
  const zeroOrOne = (signature: Hex) =>
    `${signature.slice(0, 130)}${signature.endsWith('1b') ? '00' : '01'}` as Hex
  expect((await sign(zeroOrOne)).signature).toBe(plain.signature)
  for (const change of [
    (signature: Hex) => signature.slice(0, 130) as Hex,
    (signature: Hex) => `${signature}00` as Hex,
    () => '0x' as Hex,
  ]) {
    await expect(sign(change)).rejects.toMatchObject({ code: 'unusable_signature' })
  }
})

test('refuses vouchers that no channel can have', async () => {
  const sign = (change: Partial<signVoucher.Parameters>) =>
    signVoucher(wallet, { deployment, channelId: noChannel, amount: 1n, nonce: 1n, ...change })
  await expect(sign({ amount: -1n })).rejects.toThrow(InvalidAmountError)
  await expect(sign({ amount: 2n ** 64n })).rejects.toThrow(InvalidAmountError)
  await expect(sign({ nonce: -1n })).rejects.toThrow(InvalidAmountError)
  await expect(sign({ nonce: 2n ** 63n })).rejects.toThrow(InvalidAmountError)
  await expect(sign({ channelId: '0x12' })).rejects.toThrow(InvalidFormatError)
  const upper = `0x${'AB'.repeat(32)}` as Hex
  expect((await sign({ channelId: upper })).channelId).toBe(noChannel)
})
