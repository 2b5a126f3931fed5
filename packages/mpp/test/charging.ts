/** Charges against a private chain with the real token, for tests. */
import type { Paywall } from '@drain/provider'
import { type Hex, keccak256, type LocalAccount, type PublicClient, stringToBytes } from 'viem'
import type { Fixture } from '../../provider/test/fixture.ts'
import { type Authorization, authorizationTypedData, type SignedAuthorization } from '../src/authorization.ts'
import { type ChargeInput, createCharges } from '../src/server/charges.ts'

export const cheapGas: ChargeInput = { nativePrice: '0.000001', patienceMs: 10_000 }

/** The charges of a paywall, without HTTP. */
export function chargesOf(
  paywall: Paywall,
  { client, ...input }: Partial<ChargeInput> & { client?: PublicClient } = {},
) {
  const { deployment, provider, ledger, secp256k1, config, settler } = paywall
  const quiet = () => {}
  return createCharges(
    {
      ...{ deployment, provider, ledger, secp256k1, account: config.account, clock: Date.now },
      client: client ?? paywall.client,
      transactions: settler.transactions,
      channels: { now: paywall.now },
      logger: { info: quiet, warn: quiet },
    },
    { ...cheapGas, ...input },
  )
}

let count = 0

/** An authorization of `value` base units to the provider, with a nonce of its own. */
export async function authorize(
  fixture: Fixture,
  value: bigint,
  changes: Partial<Authorization> & { signer?: LocalAccount } = {},
): Promise<SignedAuthorization> {
  const { signer = fixture.consumer, ...other } = changes
  const { chainId, token } = fixture.chain.deployment
  const authorization: Authorization = {
    from: signer.address.toLowerCase() as Hex,
    to: fixture.provider.address.toLowerCase() as Hex,
    value,
    validAfter: 0n,
    validBefore: BigInt(Math.floor(Date.now() / 1_000)) + 300n,
    nonce: keccak256(stringToBytes(`charge ${process.pid} ${++count}`)),
    ...other,
  }
  const domain = { name: 'USD Coin', version: '2', chainId, verifyingContract: token }
  const signature = await signer.signTypedData(authorizationTypedData(authorization, domain))
  return { ...authorization, signature }
}
