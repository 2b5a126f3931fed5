/** The names of the original SDK, so that code written for it keeps working. */
import { ContractError, Deployment, Domain, Usdc, type Voucher as VoucherModule } from '@drain/core'
import { type Address, erc20Abi } from 'viem'

export const CHAIN_IDS = { POLYGON_MAINNET: 137, POLYGON_AMOY: 80002 } as const

/** Chains with a known deployment. */
export type SupportedChainId = (typeof CHAIN_IDS)[keyof typeof CHAIN_IDS]

/** The default contract of each chain. */
export const DRAIN_ADDRESSES: Record<SupportedChainId, Address> = {
  137: Deployment.find({ chainId: 137 }).contract,
  80002: Deployment.find({ chainId: 80002 }).contract,
}

export const USDC_ADDRESSES: Record<SupportedChainId, Address> = {
  137: Deployment.find({ chainId: 137 }).token,
  80002: Deployment.find({ chainId: 80002 }).token,
}

export const USDC_DECIMALS = Usdc.decimals

export const EIP712_DOMAIN = { name: Domain.name, version: Domain.version } as const

/** The type that a voucher's hash begins with (the string, as in the original SDK). */
export const VOUCHER_TYPEHASH = 'Voucher(bytes32 channelId,uint256 amount,uint256 nonce)'

/** Functions, events and errors of every deployed contract. */
export const DRAIN_CHANNEL_ABI = ContractError.callAbi

export const ERC20_ABI = erc20Abi

/** Base units of a decimal USDC string, exactly. @throws {InvalidAmountError} */
export const parseUsdc = Usdc.parse

/** Decimal string of USDC base units. */
export const formatUsdc = Usdc.format

export type UnsignedVoucher = VoucherModule.Unsigned
export type VoucherTypedData = ReturnType<typeof VoucherModule.typedData>
/** What a claim needs: a voucher. */
export type ClaimOptions = VoucherModule.Voucher
