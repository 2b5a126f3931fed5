/** What a newcomer was promised, and how far it has come. */
import type { Address, Hex } from 'viem'

/**
 * `promised`: within the budget, and to be given whatever happens. `signed`: its transactions are kept. `sent`: the chain's node has
 * them. `done`: they are in blocks. `failed`: one was refused by its contract; what was not given is in the budget again.
 */
export type GrantState = 'promised' | 'signed' | 'sent' | 'done' | 'failed'

export type Grant = {
  id: string
  kind: 'gas' | 'invite'
  /** Lower case. */
  address: Address
  /** Wei of the chain's coin, and base units of USDC. Of what failed, what was given all the same. */
  gas: bigint
  usdc: bigint
  state: GrantState
  /** Why it failed. */
  reason: string
  /** Unix milliseconds. */
  createdAt: number
}

export type Part = 'gas' | 'usdc'

/** A transaction of a grant. `replaced`: another one took its nonce, so that it never can be mined. */
export type GrantTransaction = {
  sender: string
  nonce: number
  grantId: string
  part: Part
  /** Of its latest form, or of the one that was mined. */
  hash: Hex
  /** Its signed forms, the latest last. They differ in their fees, so that one of them is mined at most. */
  raws: readonly Hex[]
  state: 'signed' | 'done' | 'reverted' | 'replaced'
}

/** The parts that a grant has, the money first. */
export function partsOf({ gas, usdc }: Grant): Part[] {
  return [...(usdc > 0n ? (['usdc'] as const) : []), ...(gas > 0n ? (['gas'] as const) : [])]
}

export const isSettled = ({ state }: Grant) => state === 'done' || state === 'failed'
