/** Starts all providers of this folder and a directory of them on a local chain, until Ctrl-C. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Address, isAddress } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { startAll } from './startAll.ts'

const localChainId = 31_337
const { CHAIN_ID, RPC_URL, CONTRACT_ADDRESS, USDC_ADDRESS, DATABASE, PORT } = process.env

const isSet = (text: string | undefined): text is Address => text !== undefined && isAddress(text)
if (Number(CHAIN_ID) !== localChainId || !RPC_URL || !isSet(CONTRACT_ADDRESS) || !isSet(USDC_ADDRESS)) {
  console.error(
    [
      `This runs on chain ${localChainId} only, with keys that everybody knows. Start one with \`npm run chain\` in ../ai-provider,`,
      'which writes CHAIN_ID, RPC_URL, CONTRACT_ADDRESS and USDC_ADDRESS. To run a provider elsewhere: docs/become-a-provider.md.',
    ].join('\n'),
  )
  process.exit(2)
}

const mnemonic = 'test test test test test test test test test test test junk'
const kit = await startAll({
  ...{ chainId: localChainId, rpcUrl: RPC_URL, contractAddress: CONTRACT_ADDRESS, usdcAddress: USDC_ADDRESS },
  // The first two of anvil's accounts are the consumer's and that of examples/ai-provider.
  accounts: Array.from({ length: 7 }, (_, index) => mnemonicToAccount(mnemonic, { addressIndex: index + 2 })),
  // A new chain makes the same channel ids again, so each has a folder of its own.
  folder: DATABASE ? dirname(DATABASE) : mkdtempSync(join(tmpdir(), 'drain-providers-')),
  port: Number(PORT ?? 3100),
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // npm passes a Ctrl-C on to a process that the terminal has told already: the second finds nothing left to close.
  process.on(signal, () => void kit.close())
}
for (const { id, url, description } of kit.providers) console.log(`${id?.padEnd(16)} ${url}  ${description}`)
console.log(`${'directory'.padEnd(16)} ${kit.directory.url}/api/mcp/providers`)
