/**
 * Which nonces of a channel are burned: the highest, and a bitmap of those below it.
 *
 * Requests may overtake each other, so a nonce need not rise; it must only be new. What is too far below the highest
 * to be remembered is refused, so that forgetting it can never let it in again.
 */
export type NonceWindow = {
  /** The highest nonce burned; -1 when there is none. */
  readonly highest: bigint
  /** Bit i stands for the nonce `highest - 1 - i`. */
  readonly seen: bigint
}

/** How far below the highest nonce a new one may be. */
export const span = 1024

/** Nonces fit a signed 64-bit integer, on the wire as in the stores. */
export const maxNonce = 2n ** 63n - 1n

export const empty: NonceWindow = { highest: -1n, seen: 0n }

/** Burns `nonce`. Returns undefined, and nothing is burned, when it was seen before or is out of range. */
export function burn(window: NonceWindow, nonce: bigint): NonceWindow | undefined {
  if (nonce < 0n || nonce > maxNonce) return undefined
  const ahead = nonce - window.highest
  if (ahead > 0n) return { highest: nonce, seen: moveUp(window.seen, ahead) }
  const behind = -ahead
  if (behind === 0n || behind > span) return undefined
  const bit = 1n << (behind - 1n)
  return window.seen & bit ? undefined : { highest: window.highest, seen: window.seen | bit }
}

/** The bitmap as seen from `ahead` nonces further up, in which the old highest has become one of its bits. */
function moveUp(seen: bigint, ahead: bigint): bigint {
  if (ahead > span) return 0n
  return BigInt.asUintN(span, ((seen << 1n) | 1n) << (ahead - 1n))
}
