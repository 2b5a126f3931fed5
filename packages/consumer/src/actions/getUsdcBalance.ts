import { type Account, type Address, type Client, erc20Abi } from 'viem'
import { readContract } from 'viem/actions'
import { accountOf, type ReadParameters } from './Parameters.ts'

/**
 * USDC that an account holds, in base units.
 *
 * @example
 * ```ts
 * await getUsdcBalance(client, { deployment }) // 12_500_000n
 * ```
 */
export async function getUsdcBalance(
  client: Client,
  parameters: getUsdcBalance.Parameters,
): Promise<getUsdcBalance.ReturnValue> {
  return readContract(client, {
    address: parameters.deployment.token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [accountOf(client, parameters.account).address],
  })
}

export declare namespace getUsdcBalance {
  type Parameters = ReadParameters & {
    /** Whose; the client's account by default. */
    account?: Account | Address | undefined
  }
  type ReturnValue = bigint
}
