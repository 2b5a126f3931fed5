import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as NonceWindow from './NonceWindow.ts'

test('burns what a set of all nonces would, within the window', () => {
  const near = fc.bigInt(0n, 3000n)
  const anywhere = fc.bigInt(-5n, NonceWindow.maxNonce + 5n)
  const history = fc.array(fc.oneof({ weight: 20, arbitrary: near }, anywhere), {
    maxLength: 300,
    size: 'max',
  })
  fc.assert(
    fc.property(history, (nonces) => {
      const burned = new Set<bigint>()
      let highest = -1n
      let window = NonceWindow.empty
      for (const nonce of nonces) {
        const isNew = nonce >= 0n && nonce < 2n ** 63n && !burned.has(nonce) && nonce >= highest - 1024n
        const next = NonceWindow.burn(window, nonce)
        expect(next !== undefined).toBe(isNew)
        if (!next) continue
        window = next
        burned.add(nonce)
        highest = nonce > highest ? nonce : highest
        expect(window.highest).toBe(highest)
        expect(window.seen < 1n << 1024n).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})

test('every nonce of the window, once, from the highest down', () => {
  let window = NonceWindow.burn(NonceWindow.empty, 10_000n)
  for (let nonce = 9999n; nonce >= 10_000n - 1024n; nonce--) {
    window = window && NonceWindow.burn(window, nonce)
    expect(window).toBeDefined()
    expect(window && NonceWindow.burn(window, nonce)).toBeUndefined()
  }
  expect(window && NonceWindow.burn(window, 10_000n - 1025n)).toBeUndefined()
})

test.each([1n, 2n, 1023n, 1024n])('remembers the highest when the next is %d further', (ahead) => {
  const window = NonceWindow.burn({ highest: 5n, seen: 0n }, 5n + ahead)
  expect(window && NonceWindow.burn(window, 5n)).toBeUndefined()
})
