/**
 * A local chain to try provider and agent on: anvil with USDC and the contract, until Ctrl-C. Writes the `.env` of
 * the examples, so that they just start; a `.env` that someone else wrote is left alone.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startLocalChain } from '@drain/consumer/testing'
import { toHex } from 'viem'

const mark = '# Written by `npm run chain`, which writes it again.'

const chain = await startLocalChain()
const [consumer, provider] = chain.accounts
// A new chain makes the same channel ids again, which the ledger of an earlier one would take for its own.
const folder = mkdtempSync(join(tmpdir(), 'drain-'))
const shared = {
  CHAIN_ID: chain.chainId,
  RPC_URL: chain.rpcUrl,
  CONTRACT_ADDRESS: chain.deployment.contract,
  USDC_ADDRESS: chain.deployment.token,
}
write('../.env', {
  PROVIDER_PRIVATE_KEY: keyOf(provider),
  ...shared,
  DATABASE: join(folder, 'drain.db'),
  // For wallets without gas: opens their channels, and closes them for the smallest payout.
  RELAY_COIN_PRICE: '0.25',
  MIN_PAYOUT: '0.000001',
})
write('../../agent/.env', {
  CONSUMER_PRIVATE_KEY: keyOf(consumer),
  ...shared,
  CHANNELS_FILE: join(folder, 'channels.json'),
})
write('../../browser/.env', {
  VITE_CHAIN_ID: shared.CHAIN_ID,
  VITE_RPC_URL: shared.RPC_URL,
  VITE_CONTRACT: shared.CONTRACT_ADDRESS,
  VITE_USDC: shared.USDC_ADDRESS,
})
console.log(`chain ready on ${chain.rpcUrl}`)

const alive = setInterval(() => {}, 2 ** 30)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clearInterval(alive)
    void chain.close()
  })
}

function write(file: string, variables: Record<string, string | number>): void {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const text = [mark, ...Object.entries(variables).map(([name, value]) => `${name}=${value}`), ''].join('\n')
  if (existsSync(path) && !readFileSync(path, 'utf8').startsWith(mark)) {
    console.log(`${path} exists and is left alone. For this chain it would be:\n${text}`)
    return
  }
  writeFileSync(path, text, { mode: 0o600 })
  console.log(`wrote ${path}`)
}

/** Private keys of anvil's own accounts, known to everybody. */
function keyOf({ getHdKey }: typeof consumer): string {
  return toHex(getHdKey().privateKey ?? new Uint8Array())
}
