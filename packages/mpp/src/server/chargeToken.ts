/** The token that charges are paid in, as it says itself what it is. */
import { type Deployment, DrainError } from '@drain/core'
import { authorizationAbi } from '@drain/provider'
import { domainSeparator, type PublicClient, parseAbi } from 'viem'
import type { TokenDomain } from '../authorization.ts'
import { knownUsdc } from '../usdc.ts'

export const tokenAbi = [
  ...authorizationAbi,
  ...parseAbi([
    'function name() view returns (string)',
    'function version() view returns (string)',
    'function DOMAIN_SEPARATOR() view returns (bytes32)',
    'function balanceOf(address account) view returns (uint256)',
  ]),
] as const

/**
 * Reads the domain that the token checks signatures in, and compares it with what is known of it: consumers sign by the name that
 * they know, and what they sign in another domain can never be cashed.
 *
 * @throws {DrainError} `token_domain`, and whatever the node fails with
 */
export async function readTokenDomain(
  client: PublicClient,
  { chainId, token: address }: Deployment.Deployment,
): Promise<TokenDomain> {
  const call = { address, abi: tokenAbi } as const
  const [name, version, separator] = await Promise.all([
    client.readContract({ ...call, functionName: 'name' }),
    client.readContract({ ...call, functionName: 'version' }),
    client.readContract({ ...call, functionName: 'DOMAIN_SEPARATOR' }),
  ])
  const domain = { name, version, chainId, verifyingContract: address }
  const known = knownUsdc(chainId, address)
  if (known && (known.name !== name || known.version !== version)) {
    throw domainError(
      `The token ${address} calls itself ${name}, version ${version}; it is known as ${known.name}, version ${known.version}.`,
    )
  }
  if (domainSeparator({ domain }) !== separator) {
    throw domainError(`The token ${address} does not check signatures in the domain ${name}, ${version}.`)
  }
  return domain
}

function domainError(message: string): DrainError {
  return new DrainError('token_domain', message, { action: 'Do not offer charges in this token.' })
}
