/** `npm run directory`: a market on a local chain, with the example providers and three skills in it, until Ctrl-C. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLocalChain } from '@drain/consumer/testing'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { publishSkills } from './publishSkills.ts'
import { startMarket } from './startMarket.ts'

const folder = mkdtempSync(join(tmpdir(), 'drain-market-'))
console.log('Starting a private chain, seven providers, and a directory …')
const chain = await startLocalChain()
const market = await startMarket({ chain, folder, port: Number(process.env.PORT ?? 3100) })
const { url } = market.directory
const [account] = chain.accounts
await publishSkills({ directory: url, account, chainId: chain.chainId })
const key = generatePrivateKey()
const { address } = privateKeyToAccount(key)
await chain.fund(address, '100')
await chain.testClient.setBalance({ address, value: 10n ** 18n })
await market.directory.round()

console.log(`
  directory   ${url}
  providers   ${market.ids.join(', ')}
  desk        ${url}/desk, with the token ${market.operatorToken}
  chain       ${chain.rpcUrl}, id ${chain.chainId}

An agent of your own, with 100 USDC on this chain:

  DRAIN_PRIVATE_KEY=${key} \\
  DRAIN_CHAIN_ID=${chain.chainId} DRAIN_RPC_URL=${chain.rpcUrl} \\
  DRAIN_CONTRACT_ADDRESS=${chain.deployment.contract} DRAIN_USDC_ADDRESS=${chain.deployment.token} \\
  DRAIN_DIRECTORY_URL=${url} npx drain-mcp

Ctrl-C ends all of it; nothing is kept.`)

let isClosing = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // npm passes a Ctrl-C on to a process that the terminal has told already.
  process.on(signal, async () => {
    if (isClosing) return
    isClosing = true
    await market.close()
    await chain.close()
    rmSync(folder, { recursive: true, force: true })
  })
}
