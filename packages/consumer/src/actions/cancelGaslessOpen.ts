import { Channel, DrainError, GaslessOpen } from '@drain/core'
import { type Abi, type Client, type Hash, isAddressEqual } from 'viem'
import { getGaslessOpen } from './getGaslessOpen.ts'
import { accountOf, type WriteParameters } from './Parameters.ts'
import { tokenAbi } from './tokenAbi.ts'
import { signForToken, tokenDomainOf } from './tokenSignature.ts'
import { transact } from './transact.ts'

/**
 * Makes a signed opening void, so that another can be signed before the first has expired. The consumer signs once more and
 * pays gas; without gas, wait for `validBefore`. Waits for the receipt.
 *
 * Trap: a relay may be faster. Then the answer is `opened`, with the channel. Source: `cancelAuthorization` of EIP-3009.
 *
 * @example
 * ```ts
 * const { status } = await cancelGaslessOpen(walletClient, { deployment, open })
 * ```
 * @throws {DrainError} `wrong_account`: not the consumer that signed it; `token_domain`, `unusable_signature`
 * @throws {TransactionRevertedError}
 */
export async function cancelGaslessOpen(
  client: Client,
  parameters: cancelGaslessOpen.Parameters,
): Promise<cancelGaslessOpen.ReturnValue> {
  const { deployment, open, publicClient: reader = client } = parameters
  const account = accountOf(client, parameters.account)
  if (!isAddressEqual(account.address, open.consumer)) {
    throw new DrainError('wrong_account', `Only ${open.consumer} can cancel what it has signed.`, {
      action: `Use its account; this one is ${account.address}.`,
    })
  }
  const before = await getGaslessOpen(reader, parameters)
  if (before.status !== 'valid') return before

  const typedData = GaslessOpen.cancelTypedData(open, deployment, await tokenDomainOf(reader, deployment))
  const signature = await signForToken(client, reader, account, typedData)
  try {
    const receipt = await transact(client, parameters, {
      address: deployment.token,
      abi: tokenAbi as Abi,
      functionName: 'cancelAuthorization',
      args: [open.consumer, Channel.hashOpening(open), signature],
    })
    return { status: 'cancelled', txHash: receipt.transactionHash }
  } catch (error) {
    const after = await getGaslessOpen(reader, parameters).catch(() => undefined)
    if (!after || after.status === 'valid') throw error
    return after
  }
}

export declare namespace cancelGaslessOpen {
  type Parameters = WriteParameters & { open: GaslessOpen.Unsigned }
  type ReturnValue =
    | { status: 'cancelled'; txHash: Hash }
    /** Too late: the deposit is locked. */
    | { status: 'opened'; channel: Channel.Channel }
    /** Nothing to cancel: see {@link getGaslessOpen}. */
    | { status: 'used' }
    | { status: 'expired' }
}
