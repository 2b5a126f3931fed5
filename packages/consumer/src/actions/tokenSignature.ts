/** Signatures that the token checks, not the channel contract. */
import { type Deployment, DrainError, GaslessOpen, Signature } from '@drain/core'
import {
  type Account,
  type Client,
  domainSeparator,
  type Hex,
  hashTypedData,
  hexToBytes,
  isAddressEqual,
  parseAbi,
  type TypedDataDefinition,
} from 'viem'
import { getCode, readContract, signTypedData } from 'viem/actions'
import { withPlainV } from './signPlain.ts'
import { tokenAbi } from './tokenAbi.ts'

/** Name and version of an EIP-712 domain. */
export type TokenDomain = { name: string; version: string }

/**
 * The domain that the token really signs in: USDC's usual one, or the one its own name and version make (test networks call
 * it differently). Compared with the separator that the token answers, since a signature in another domain is worth nothing.
 *
 * @throws {DrainError} `token_domain`: neither.
 */
export async function tokenDomainOf(
  reader: Client,
  { chainId, token }: Deployment.Deployment,
): Promise<TokenDomain> {
  const read = (functionName: 'DOMAIN_SEPARATOR' | 'name' | 'version') =>
    readContract(reader, { address: token, abi: tokenAbi, functionName })
  const separator = await read('DOMAIN_SEPARATOR')
  const isOf = (domain: TokenDomain) =>
    domainSeparator({ domain: { ...domain, chainId, verifyingContract: token } }) === separator
  if (isOf(GaslessOpen.usdcDomain)) return GaslessOpen.usdcDomain
  const [name, version] = await Promise.all([read('name'), read('version')])
  if (isOf({ name, version })) return { name, version }
  throw new DrainError('token_domain', `The token ${token} signs in a domain that is not known here.`, {
    action:
      'Check chain and token of the deployment. Without gasless opens: approve the deposit and use openChannel.',
    details: `DOMAIN_SEPARATOR() is ${separator}; tried "${GaslessOpen.usdcDomain.name}" and its name "${name}", version "${version}", on chain ${chainId}`,
  })
}

/**
 * Signs what the token will check, and checks it as the token does: 65 bytes of an ordinary account; of an account with code
 * whatever its code accepts (EIP-1271), which may be long.
 *
 * @throws {DrainError} `unusable_signature`
 */
export async function signForToken(
  client: Client,
  reader: Client,
  account: Account,
  typedData: TypedDataDefinition,
): Promise<Hex> {
  const code = await getCode(reader, { address: account.address })
  const signature = await signTypedData(client, { ...typedData, account })
  const digest = hashTypedData(typedData)
  if (code && code !== '0x') {
    if (signature.length > 2 + 2 * GaslessOpen.maxSignatureBytes) throw unusable(account, 'too long')
    if (await accepts(reader, account, digest, signature)) return signature
    throw unusable(account, 'not one that its own code accepts')
  }
  const plain = withPlainV(signature)
  const signer = Signature.recoverAddress(hexToBytes(digest), plain)
  if (signer && isAddressEqual(signer, account.address)) return plain
  throw unusable(account, 'not a plain one of this account')
}

const erc1271Abi = parseAbi([
  'function isValidSignature(bytes32 digest, bytes signature) view returns (bytes4)',
])
const erc1271Magic = '0x1626ba7e'

async function accepts(reader: Client, { address }: Account, digest: Hex, signature: Hex): Promise<boolean> {
  const call = {
    address,
    abi: erc1271Abi,
    functionName: 'isValidSignature',
    args: [digest, signature],
  } as const
  return readContract(reader, call).then(
    (answer) => answer === erc1271Magic,
    () => false,
  )
}

function unusable({ address }: Account, problem: string): DrainError {
  return new DrainError('unusable_signature', `The wallet's signature for ${address} is ${problem}.`, {
    action: 'Select this account in the wallet. A contract wallet must be deployed on this chain first.',
  })
}
