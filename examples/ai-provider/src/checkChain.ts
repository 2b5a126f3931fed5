import { Deployment, DrainError, rpcTransport } from '@drain-protocol/sdk'
import { createPublicClient } from 'viem'
import type { Config } from './config.ts'

/**
 * Compares the configuration with the chain, so that a wrong node or address shows now and not at the first payment. A node that
 * does not answer is no reason not to start.
 *
 * @throws {DrainError}
 */
export async function checkChain(config: Config, log: (message: string) => void): Promise<void> {
  const { chainId, rpcUrl, contractAddress, usdcAddress } = config
  const { contract, token } = Deployment.find({ chainId, contract: contractAddress, token: usdcAddress })
  const client = createPublicClient({ transport: rpcTransport(rpcUrl) })
  const answers = await Promise.all([
    client.getChainId(),
    client.getCode({ address: contract }),
    client.getCode({ address: token }),
  ]).catch(() => undefined)
  if (!answers) {
    log('warning: the node at RPC_URL does not answer; payments are refused until it does.')
    return
  }
  const [actual, contractCode, tokenCode] = answers
  if (actual !== chainId) {
    throw new DrainError(
      'wrong_chain',
      `The node at RPC_URL is on chain ${actual}, and CHAIN_ID says ${chainId}.`,
      {
        action: 'Correct one of them.',
      },
    )
  }
  for (const [name, address, code] of [
    ['CONTRACT_ADDRESS', contract, contractCode],
    ['USDC_ADDRESS', token, tokenCode],
  ] as const) {
    if (code) continue
    throw new DrainError('no_contract', `There is no contract at ${address} (${name}) on chain ${chainId}.`, {
      action: 'Deploy it, or correct the address.',
    })
  }
}
