import { setImmediate as pause } from 'node:timers/promises'

/**
 * How many primes there are up to a number, by the sieve of Eratosthenes, which lets others have their turn now and then.
 *
 * @param tell Told how far it is, in percent; it may throw, which ends it.
 */
export async function countPrimes(upTo: number, tell: (percent: number) => void): Promise<number> {
  const isComposite = new Uint8Array(upTo + 1)
  let [primes, steps] = [0, 0]
  for (let number = 2; number <= upTo; number++) {
    if (++steps > 1_000_000) {
      tell(Math.floor((100 * number) / upTo))
      await pause()
      steps = 0
    }
    if (isComposite[number]) continue
    primes++
    for (let multiple = number * number; multiple <= upTo; multiple += number, steps++)
      isComposite[multiple] = 1
  }
  return primes
}
