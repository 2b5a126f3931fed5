import { type Deployment, Domain, DrainError, Signature } from '@drain/core'
import { bytesToHex, type Client, concatHex, type Hex, isAddressEqual, type TypedDataDefinition } from 'viem'
import { signTypedData } from 'viem/actions'
import { accountOf, type SessionParameters } from './Parameters.ts'

/** Something to sign, as wallets want it and as its digest. */
export type Message = {
  typedData: TypedDataDefinition
  digest(domainSeparator: Hex): Uint8Array
}

/**
 * Signs as the contract accepts it: plain ECDSA of 65 bytes, v 27 or 28, and the session key's proof behind them when asked.
 *
 * @throws {DrainError} `unusable_signature`: the wallet signs in another form (a contract wallet, say), or with another
 * account.
 */
export async function signPlain(
  client: Client,
  { session, withProof, ...parameters }: SessionParameters,
  message: Message,
): Promise<Hex> {
  if (session) {
    const own = await signPlain(client, { ...parameters, account: session.account }, message)
    return withProof ? concatHex([own, session.proof]) : own
  }
  const account = accountOf(client, parameters.account)
  const digest = message.digest(separatorOf(parameters.deployment))
  // Keys in this process sign what is asked. The digest made here saves viem's general encoding, a third of the time.
  if (
    account.type === 'local' &&
    account.sign &&
    (account.source === 'privateKey' || account.source === 'hd')
  ) {
    return account.sign({ hash: bytesToHex(digest) })
  }
  const signature = withPlainV(await signTypedData(client, { ...message.typedData, account }))
  const signer = Signature.recoverAddress(digest, signature)
  if (signer && isAddressEqual(signer, account.address)) return signature
  throw new DrainError(
    'unusable_signature',
    `The wallet's signature is not a plain one of ${account.address}.`,
    {
      action: 'Use an ordinary account (no contract wallet), selected in the wallet.',
    },
  )
}

/** Some hardware wallets answer v as 0 or 1, which the contract refuses. */
export function withPlainV(signature: Hex): Hex {
  const v = signature.length === 132 ? signature.slice(130) : ''
  if (v === '00') return `${signature.slice(0, 130)}1b` as Hex
  if (v === '01') return `${signature.slice(0, 130)}1c` as Hex
  return signature
}

const separators = new WeakMap<Deployment.Deployment, Hex>()

function separatorOf(deployment: Deployment.Deployment): Hex {
  const known = separators.get(deployment)
  if (known) return known
  const separator = Domain.separator(deployment)
  separators.set(deployment, separator)
  return separator
}
