import { Channel, InvalidAmountError, Usdc, Voucher } from '@drain/core'
import type { Client, Hex } from 'viem'
import type { SessionParameters } from './Parameters.ts'
import { signPlain } from './signPlain.ts'

/**
 * Signs a voucher: the promise of `amount` in all on a channel, which the provider may claim at once.
 *
 * Trap: `amount` is **cumulative**, the total since the channel's opening, never an increment. No nonce is used twice.
 *
 * @example
 * ```ts
 * const voucher = await signVoucher(walletClient, { deployment, channelId, amount: 500_000n, nonce: 2n })
 * // With the channel's session key; its proof goes along the first time.
 * await signVoucher(client, { deployment, channelId, amount: 500_000n, nonce: 2n, session, withProof: true })
 * ```
 * @throws {InvalidFormatError | InvalidAmountError}
 */
export async function signVoucher(
  client: Client,
  parameters: signVoucher.Parameters,
): Promise<signVoucher.ReturnValue> {
  const { deployment, amount, nonce } = parameters
  const unsigned = { channelId: Channel.parseId(parameters.channelId), amount, nonce }
  if (amount < 0n || amount > Usdc.maxChannelAmount) {
    throw new InvalidAmountError(
      Usdc.format(amount),
      'no channel holds that much',
      'Sign what was used in all.',
    )
  }
  if (nonce < 0n || nonce > Voucher.maxNonce) {
    throw new InvalidAmountError(nonce, 'a nonce is from 0 to 2^63 - 1', 'Count up from an earlier nonce.')
  }
  const signature = await signPlain(client, parameters, {
    typedData: Voucher.typedData(unsigned, deployment),
    digest: (separator) => Voucher.digest(unsigned, separator),
  })
  return { ...unsigned, signature }
}

export declare namespace signVoucher {
  type Parameters = SessionParameters & {
    channelId: Hex
    /** Cumulative, in base units. */
    amount: bigint
    /** Never used before on this channel; providers refuse those more than 1,024 below the highest. */
    nonce: bigint
  }
  type ReturnValue = Voucher.Voucher
}
