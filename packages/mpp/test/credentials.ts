/** Credentials of `drain/session`, made with mppx's own codecs, for tests of servers. */
import { Channel, GaslessOpen, Usdc, Voucher } from '@drain/core'
import { Challenge, Credential } from 'mppx'
import { type Hex, type LocalAccount, zeroAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { Fixture, OpenChannel } from '../../provider/test/fixture.ts'

type Fields = { channelId: Hex; cumulativeAmount: string; nonce: string; signature: Hex }

/** A channel's voucher as a payload has it. */
export async function voucherFields(
  channel: OpenChannel,
  amount: bigint,
  options?: Parameters<OpenChannel['voucher']>[1],
): Promise<Fields> {
  const [header] = Object.values(await channel.voucher(amount, options))
  const { amount: cumulativeAmount, ...rest } = JSON.parse(header as string)
  return { ...rest, cumulativeAmount }
}

/** The challenge of a 402 for `drain/session`, as mppx reads it. */
export function challengeOf(response: Response): Challenge.Challenge {
  const found = Challenge.fromResponseList(response).find(
    ({ method, intent }) => method === 'drain' && intent === 'session',
  )
  if (!found) throw new Error(`no drain/session in the ${response.status}`)
  return found
}

/** A credential as mppx writes it. */
export const credential = (challenge: Challenge.Challenge, payload: unknown) =>
  Credential.serialize(Credential.from({ challenge, payload }))

/** An opening that its consumer, who has USDC and nothing else, has signed; and the first voucher on it. */
export async function gaslessOpening(
  { chain, provider }: Fixture,
  changes: Partial<GaslessOpen.Unsigned> = {},
) {
  const consumer: LocalAccount = privateKeyToAccount(generatePrivateKey())
  await chain.fund(consumer.address, '5')
  const { timestamp } = await chain.publicClient.getBlock()
  const clock = BigInt(Math.floor(Date.now() / 1_000))
  const open: GaslessOpen.Unsigned = {
    consumer: consumer.address,
    provider: provider.address,
    amount: Usdc.parse('1'),
    duration: 86_400n,
    signer: zeroAddress,
    salt: generatePrivateKey(), // 32 random bytes
    validAfter: 0n,
    validBefore: (timestamp > clock ? timestamp : clock) + 300n,
    ...changes,
  }
  const signature = await consumer.signTypedData(GaslessOpen.typedData(open, chain.deployment))
  const channelId = Channel.computeId(chain.deployment, open, 'relayed')
  return {
    channelId,
    authorization: GaslessOpen.toJson({ ...open, signature }),
    async voucher(amount: bigint, nonce = 1n): Promise<Fields> {
      const unsigned = { channelId, amount, nonce }
      const signature = await consumer.signTypedData(Voucher.typedData(unsigned, chain.deployment))
      return { channelId, cumulativeAmount: amount.toString(), nonce: nonce.toString(), signature }
    },
  }
}
