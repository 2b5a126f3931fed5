/** USDC on Polygon for mppx's own `evm` client, which knows other chains only. */
import { evm } from 'mppx'
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
