/** Charges against a private chain with the real token, for tests. */
import { type LedgerOpener, LedgerUnavailableError, type Paywall } from '@drain/provider'
import {
  type Address,
  erc20Abi,
  type Hex,
  keccak256,
  type LocalAccount,
  type PublicClient,
  stringToBytes,
} from 'viem'
import type { Fixture } from '../../provider/test/fixture.ts'
import { type Authorization, authorizationTypedData, type SignedAuthorization } from '../src/authorization.ts'
import type { ChargeContext } from '../src/server/chargeCashing.ts'
import { type ChargeInput, createCharges } from '../src/server/charges.ts'
import { tokenAbi } from '../src/server/chargeToken.ts'

export const cheapGas: ChargeInput = { nativePrice: '0.000001', patienceMs: 10_000 }

/** The charges of a paywall, without HTTP. */
export function chargesOf(
  paywall: Paywall,
  {
    client,
    warn = () => {},
    clock = Date.now,
    ...input
  }: Partial<ChargeInput> & {
    client?: PublicClient
    warn?: ChargeContext['logger']['warn']
    clock?: () => number
  } = {},
) {
  const { deployment, provider, ledger, secp256k1, config, settler, metrics } = paywall
  return createCharges(
    {
      ...{ deployment, provider, ledger, secp256k1, clock },
      account: typeof config.account === 'string' ? undefined : config.account,
      client: client ?? paywall.client,
      ...{ transactions: settler.transactions, charges: settler.charges, metrics },
      channels: { now: paywall.now },
      logger: { info: () => {}, warn },
    },
    { ...cheapGas, ...input },
  )
}

/** A ledger whose store fails where `isBroken` says so of a note and what is to be written. */
export function breakable(
  open: LedgerOpener,
  isBroken: (key: string, text: string | null | undefined) => boolean,
): LedgerOpener {
  return (identity) => {
    const ledger = open(identity)
    const { notebook } = ledger
    return {
      ...ledger,
      notebook: {
        read: (...args) => notebook.read(...args),
        write: (key, decide) =>
          notebook.write(key, (text, now) => {
            const decision = decide(text, now)
            if (isBroken(key, decision.write)) throw new LedgerUnavailableError('full')
            return decision
          }),
      },
    }
  }
}

export type Begun = Awaited<ReturnType<ReturnType<typeof chargesOf>['begin']>>

export function fundsOf(begun: Begun) {
  if (!begun.ok) throw new Error(`refused: ${'rejection' in begun ? begun.rejection.message : 'answered'}`)
  return begun.funds
}

export const codeOf = (begun: Begun) =>
  begun.ok ? 'taken' : 'rejection' in begun ? begun.rejection.code : 'answer'

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

/** The call that cashes an authorization: anybody may send it. */
export function transferWith({ chain }: Fixture, authorization: SignedAuthorization) {
  const { from, to, value, validAfter, validBefore, nonce, signature } = authorization
  return {
    address: chain.deployment.token,
    abi: tokenAbi,
    functionName: 'transferWithAuthorization',
    args: [from, to, value, validAfter, validBefore, nonce, signature],
  } as const
}

/** How often the token took an authorization. */
export async function uses({ chain }: Fixture, { from, nonce }: SignedAuthorization): Promise<number> {
  const events = await chain.publicClient.getContractEvents({
    address: chain.deployment.token,
    abi: tokenAbi,
    eventName: 'AuthorizationUsed',
    args: { authorizer: from, nonce },
    fromBlock: 0n,
  })
  return events.length
}

/** Moves all USDC of an account away, or so much that `rest` is left. */
export async function moveUsdc(
  { chain, balance }: Fixture,
  from: LocalAccount,
  to: Address,
  rest = 0n,
): Promise<void> {
  const args = [to, (await balance(from.address)) - rest] as const
  const call = { address: chain.deployment.token, abi: erc20Abi, functionName: 'transfer', args } as const
  const hash = await chain.walletClient(from).writeContract(call)
  await chain.publicClient.waitForTransactionReceipt({ hash })
}
