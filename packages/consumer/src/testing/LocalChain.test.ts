import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { drainChannelAbi } from '@drain/core'
import { createPublicClient, erc20Abi, http, parseAbi } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fiatTokenAbi, type LocalChain, startLocalChain } from './index.ts'

let chain: LocalChain
beforeAll(async () => {
  chain = await startLocalChain({ feeBps: 200 })
})
afterAll(() => chain.close())

const balanceOf = (address: `0x${string}`) =>
  chain.publicClient.readContract({
    address: chain.deployment.token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [address],
  })

test('the token is USDC as on real chains', async () => {
  const read = { address: chain.deployment.token, abi: [...erc20Abi, ...versionAbi] } as const
  const name = await chain.publicClient.readContract({ ...read, functionName: 'name' })
  const version = await chain.publicClient.readContract({ ...read, functionName: 'version' })
  const decimals = await chain.publicClient.readContract({ ...read, functionName: 'decimals' })
  expect([name, version, decimals]).toEqual(['USD Coin', '2', 6])
})
const versionAbi = parseAbi(['function version() view returns (string)'])

test('the contract has that token and the fee', async () => {
  const read = { address: chain.deployment.contract, abi: drainChannelAbi } as const
  expect(await chain.publicClient.readContract({ ...read, functionName: 'token' })).toBe(
    chain.deployment.token,
  )
  expect(await chain.publicClient.readContract({ ...read, functionName: 'feeBps' })).toBe(200)
  expect(await chain.publicClient.readContract({ ...read, functionName: 'feeRecipient' })).toMatch(
    new RegExp(chain.feeRecipient, 'i'),
  )
  expect(chain.deployment).toMatchObject({ chainId: 31337, feeBps: 200, channelIds: 'opening' })
})

test('accounts hold USDC, and more can be minted, also in parallel', async () => {
  expect(await balanceOf(chain.accounts[9]?.address ?? '0x')).toBe(10_000_000_000n)
  const newcomer = '0x00000000000000000000000000000000000000aa'
  await Promise.all([chain.fund(newcomer, '1.5'), chain.fund(newcomer, 1n), chain.fund(newcomer, '2')])
  expect(await balanceOf(newcomer)).toBe(3_500_001n)
})

test('the issuer can use every role of the token', async () => {
  const { deployment, testClient, publicClient, issuer } = chain
  const call = { address: deployment.token, abi: fiatTokenAbi, account: issuer } as const
  const wallet = chain.walletClient(issuer)
  const blocked = '0x00000000000000000000000000000000000000bb'
  const calls = [
    await wallet.writeContract({ ...call, functionName: 'blacklist', args: [blocked] }),
    await wallet.writeContract({ ...call, functionName: 'unBlacklist', args: [blocked] }),
    await wallet.writeContract({ ...call, functionName: 'pause' }),
    await wallet.writeContract({ ...call, functionName: 'unpause' }),
  ]
  for (const hash of calls) {
    expect((await publicClient.waitForTransactionReceipt({ hash })).status).toBe('success')
  }
  expect(await testClient.getAutomine()).toBe(true)
})

test('it can mine in intervals', async () => {
  await using slow = await startLocalChain({ blockTime: 1, usdc: '0' })
  expect(await slow.testClient.getAutomine()).toBe(false)
})

test('it ends with its process, however that ends', async () => {
  const module = fileURLToPath(new URL('./anvil.ts', import.meta.url))
  const script = `
    import { startAnvil } from ${JSON.stringify(module)}
    console.log((await startAnvil()).rpcUrl)
    setInterval(() => {}, 1000)
  `
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [rpcUrl] = await once(createInterface(child.stdout), 'line')
  const client = createPublicClient({ transport: http(rpcUrl, { retryCount: 0 }), cacheTime: 0 })
  expect(await client.getBlockNumber()).toBe(0n)
  child.kill('SIGKILL')
  await expect.poll(() => client.getBlockNumber().catch(() => 'gone'), { timeout: 30_000 }).toBe('gone')
})
