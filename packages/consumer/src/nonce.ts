/**
 * The next nonce of a channel.
 *
 * The first one comes from the clock, in microseconds, so that a process that remembers nothing starts above all that an
 * earlier one used. From there it counts by one: providers refuse nonces more than 1,024 below the highest, and requests
 * that run in parallel arrive in any order.
 *
 * @param now Unix milliseconds.
 */
export function nextNonce(last: bigint | undefined, now: number): bigint {
  return last === undefined ? BigInt(Math.floor(now)) * 1_000n : last + 1n
}
