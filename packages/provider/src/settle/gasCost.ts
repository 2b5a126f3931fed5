/** What gas costs in USDC: to tell whether a claim is worth it, never for the books. */
import { type Deployment, Usdc } from '@drain/core'
import type { ClaimCost } from './plan.ts'

/** Gas of a claim alone; of a batch, and of each claim in it besides. Measured, rounded up. */
export const gasOf = { claim: 90_000n, batch: 48_000n, batched: 20_000n }

/** What claims cost on a deployment. `gasPrice`: wei; `nativePrice`: base units. */
export function claimCostOf(
  deployment: Pick<Deployment.Deployment, 'features' | 'feeBps'>,
  gasPrice: bigint,
  nativePrice: bigint,
): ClaimCost {
  const hasBatches = deployment.features.includes('claimBatch')
  return {
    fixed: hasBatches ? inUsdc(gasPrice * gasOf.batch, nativePrice) : 0n,
    each: inUsdc(gasPrice * (hasBatches ? gasOf.batched : gasOf.claim), nativePrice),
    feeBps: BigInt(deployment.feeBps),
  }
}

/** USDC for one coin of the chain: high rather than low, since it only keeps dust from being claimed. */
const dearCoins = new Set([1, 10, 8_453, 42_161, 59_144, 84_532, 11_155_111])

/** A price for the chain's own coin where the operator gives none, in USDC. */
export function defaultNativePrice(chainId: number): string {
  return dearCoins.has(chainId) ? '5000' : '1'
}

/** Base units of `wei` of a coin that costs `nativePrice` (base units), rounded up. */
export function inUsdc(wei: bigint, nativePrice: bigint): bigint {
  return (wei * nativePrice + 10n ** 18n - 1n) / 10n ** 18n
}

/** Wei for `amount` base units, rounded down. */
export function inWei(amount: bigint, nativePrice: bigint): bigint {
  return nativePrice > 0n ? (amount * 10n ** 18n) / nativePrice : 0n
}

/** @throws {InvalidAmountError} */
export function parseNativePrice(input: string | undefined, chainId: number): bigint {
  return Usdc.parse(input ?? defaultNativePrice(chainId))
}
