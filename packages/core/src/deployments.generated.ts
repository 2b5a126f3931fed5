// Written by `node scripts/codegen.ts`. Do not edit.

import type { Address } from 'viem'

/** Deployments of the current contract, as its deployment script recorded them. */
export const recorded: readonly { chainId: number; contract: Address; token: Address; feeBps: number }[] = []
