import { createDrainClient, type DrainClient } from '@drain-protocol/sdk'
import { fileStore } from '@drain-protocol/sdk/node'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'

/** A client that pays from `CONSUMER_PRIVATE_KEY`, at most 0.05 USDC per request and 1 USDC per channel. */
export function clientFrom(env: NodeJS.ProcessEnv): DrainClient {
  const { CONSUMER_PRIVATE_KEY, CHAIN_ID, RPC_URL, CONTRACT_ADDRESS, USDC_ADDRESS, CHANNELS_FILE } = env
  if (!/^0x[0-9a-fA-F]{64}$/.test(CONSUMER_PRIVATE_KEY ?? '')) {
    throw new Error(
      'Set CONSUMER_PRIVATE_KEY to the private key of the account that pays: 0x and 64 hex digits.',
    )
  }
  if (!CHAIN_ID) throw new Error('Set CHAIN_ID: 137 is Polygon, 80002 Amoy, 31337 a local anvil.')
  return createDrainClient({
    account: privateKeyToAccount(CONSUMER_PRIVATE_KEY as Hex),
    chainId: Number(CHAIN_ID),
    rpcUrl: RPC_URL || undefined,
    contractAddress: (CONTRACT_ADDRESS as Hex) || undefined,
    usdcAddress: (USDC_ADDRESS as Hex) || undefined,
    limits: { perRequest: '0.05', perChannel: '1' },
    store: fileStore(CHANNELS_FILE || 'channels.log'),
  })
}
