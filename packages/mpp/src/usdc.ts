/** Circle's USDC on the chains that DRAIN runs on: where it is, and the EIP-712 domain that its authorizations are signed in. */
import type { Address } from 'viem'

export type UsdcToken = {
  readonly chainId: number
  readonly address: Address
  /** Of the token's own domain. It differs between chains: a signature in the wrong one is worth nothing. */
  readonly name: string
  readonly version: string
}

export const usdcDecimals = 6

const tokens: readonly UsdcToken[] = [
  {
    chainId: 137,
    address: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
    name: 'USD Coin',
    version: '2',
  },
  { chainId: 80002, address: '0x41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582', name: 'USDC', version: '2' },
]

/** The token at `address`, where it is known. */
export function knownUsdc(chainId: number, address: Address): UsdcToken | undefined {
  return tokens.find(
    (token) => token.chainId === chainId && token.address.toLowerCase() === address.toLowerCase(),
  )
}

/** USDC on a chain, where it is known. */
export function usdcOn(chainId: number): UsdcToken | undefined {
  return tokens.find((token) => token.chainId === chainId)
}
