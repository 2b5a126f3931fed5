import { type Account, type Address, type Client, erc20Abi } from 'viem'
import { readContract } from 'viem/actions'
import { accountOf, type ReadParameters } from './Parameters.ts'

/**
 * USDC that the contract may still take from an account for deposits, in base units.
 *
 * @example
 * ```ts
 * await getAllowance(client, { deployment }) // 10_000_000n
 * ```
 */
export async function getAllowance(
  client: Client,
  parameters: getAllowance.Parameters,
): Promise<getAllowance.ReturnValue> {
  const { deployment, account } = parameters
  return readContract(client, {
    address: deployment.token,
    abi: erc20Abi,
    functionName: 'allowance',
    args: [accountOf(client, account).address, deployment.contract],
  })
}

export declare namespace getAllowance {
  type Parameters = ReadParameters & {
    /** Whose; the client's account by default. */
    account?: Account | Address | undefined
  }
  type ReturnValue = bigint
}
