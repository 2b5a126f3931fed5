/** The smallest use, as the READMEs show it, against a private chain and a paywall. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { createPaywall } from '@drain-protocol/sdk'
import { paid, type RunningServer, serve } from '@drain-protocol/sdk/node'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { erc20Abi, toHex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { substitute } from '../../provider/test/readmeExamples.ts'
import { readmeExample } from './readme.ts'

let chain: LocalChain
let folder: string
let server: RunningServer
beforeAll(async () => {
  chain = await startLocalChain()
  folder = mkdtempSync(fileURLToPath(new URL('.readme-', import.meta.url)))
  const paywall = createPaywall({
    account: chain.accounts[1],
    chainId: chain.chainId,
    rpcUrl: chain.rpcUrl,
    contractAddress: chain.deployment.contract,
    usdcAddress: chain.deployment.token,
    ledger: sqliteLedger(join(folder, 'drain.db')),
    log: () => {},
  })
  server = await serve(
    paywall,
    paid(paywall, '0.001', (_, res) => res.end('{"joke":true}')),
    { port: 0, signals: false },
  )
})
afterAll(async () => {
  await server?.close()
  await chain?.close()
  rmSync(folder, { recursive: true, force: true })
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

test('the nine lines that pay for an API', async () => {
  const code = readmeExample('pay', '../README.md')
  expect(code).toBe(readmeExample('pay'))
  expect(code.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(9)

  const { contract, token } = chain.deployment
  const file = join(folder, 'pay.ts')
  writeFileSync(
    file,
    substitute(code, {
      'chainId: 137': `chainId: 31337, rpcUrl: '${chain.rpcUrl}', contractAddress: '${contract}', usdcAddress: '${token}'`,
      'https://api.example.com': server.url,
    }),
  )
  vi.stubEnv('PRIVATE_KEY', toHex(chain.accounts[0].getHdKey().privateKey ?? 0))
  const said = vi.spyOn(console, 'log').mockImplementation(() => {})
  const balance = () =>
    chain.publicClient.readContract({
      address: token,
      abi: erc20Abi,
      functionName: 'balanceOf',
      args: [chain.accounts[0].address],
    })
  const before = await balance()
  await import(/* @vite-ignore */ file)
  expect(said).toHaveBeenCalledWith({ joke: true })
  expect(await balance()).toBe(before - 1_000n)
})
