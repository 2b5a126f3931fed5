import { type Abi, type Client, erc20Abi, type Hash } from 'viem'
import type { WriteParameters } from './Parameters.ts'
import { transact } from './transact.ts'

/**
 * Lets the contract take exactly `amount` of USDC for deposits, and waits for the receipt.
 *
 * Replaces the allowance of before; it doesn't add to it. Approve what the next open needs and no more.
 *
 * @example
 * ```ts
 * await approveUsdc(walletClient, { deployment, amount: Usdc.parse('10') })
 * ```
 * @throws {TransactionRevertedError} Such as a wallet that Circle has blocked.
 */
export async function approveUsdc(
  client: Client,
  parameters: approveUsdc.Parameters,
): Promise<approveUsdc.ReturnValue> {
  const { deployment, amount } = parameters
  const receipt = await transact(client, parameters, {
    address: deployment.token,
    abi: erc20Abi as Abi,
    functionName: 'approve',
    args: [deployment.contract, amount],
  })
  return { txHash: receipt.transactionHash }
}

export declare namespace approveUsdc {
  type Parameters = WriteParameters & {
    /** In base units. */
    amount: bigint
  }
  type ReturnValue = { txHash: Hash }
}
