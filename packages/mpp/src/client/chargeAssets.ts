/** USDC on Polygon for mppx's own `evm` client, which knows other chains only. */
import { evm } from 'mppx'
import { evm as client } from 'mppx/client'
import type { Account } from 'viem'
import { type UsdcToken, usdcDecimals, usdcOn } from '../usdc.ts'

function assetOf({ chainId, address, name, version }: UsdcToken) {
  return evm.assets.define({
    address,
    decimals: usdcDecimals,
    network: `eip155:${chainId}`,
    transfer: { type: 'eip3009', name, version },
  })
}

/** USDC on Polygon. */
export const polygonUsdc = assetOf(usdcOn(137) as UsdcToken)

/** USDC on Amoy, Polygon's test network. Its domain has another name than on Polygon. */
export const amoyUsdc = assetOf(usdcOn(80002) as UsdcToken)

/**
 * mppx's client method `evm`/`charge`, set up for USDC on Polygon and Amoy and nothing else.
 *
 * @param options.maxAmount The most that one request may cost, in USDC. There is no default: what isn't bounded is signed whatever it
 * says.
 *
 * @example
 * ```ts
 * const { fetch } = Mppx.create({ methods: [usdcCharge({ account, maxAmount: '0.05' })], polyfill: false })
 * ```
 */
export function usdcCharge(options: {
  account: Account
  maxAmount: string
  chains?: readonly (137 | 80002)[]
}): ReturnType<typeof client.charge> {
  const { account, maxAmount, chains = [137, 80002] } = options
  const currencies = [polygonUsdc, amoyUsdc].filter((_, index) => chains.includes(index === 0 ? 137 : 80002))
  return client.charge({ account, currencies, networks: [...chains], maxAmount })
}
