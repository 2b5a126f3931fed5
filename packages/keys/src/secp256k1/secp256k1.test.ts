/**
 * The libraries make and recover the same signatures. What they accept is what the contract accepts:
 * packages/provider/src/verify/signatureVectors.test.ts.
 *
 * More random cases than CI runs, for about ten minutes:
 *
 *   DRAIN_FUZZ_CASES=100000 vitest run packages/keys/src/secp256k1
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { DrainError, Signature } from '@drain/core'
import fc from 'fast-check'
import { bytesToHex, type Hex, hexToBytes } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadNative } from './native.ts'
import { selectSecp256k1 } from './selectSecp256k1.ts'
import { loadWasm } from './wasm.ts'

const backends = new Map<string, Signature.Secp256k1>([['noble', Signature.noble]])
beforeAll(async () => {
  for (const backend of [loadNative(), await loadWasm()]) if (backend) backends.set(backend.name, backend)
})
const names = ['native', 'wasm', 'noble'] as const
const backend = (name: string) => {
  const found = backends.get(name)
  if (!found) throw new Error(`${name} does not load here`)
  return found
}

// --- random input, below the checks that all backends share

const { ecdsaSign } = createRequire(import.meta.url)('secp256k1/bindings.js') as {
  ecdsaSign(digest: Uint8Array, key: Uint8Array): { signature: Uint8Array; recid: number }
}
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const field = 2n ** 256n - 2n ** 32n - 977n

const word = fc.uint8Array({ minLength: 32, maxLength: 32 })
const number = fc
  .oneof(
    fc.bigInt({ min: 0n, max: 20n }),
    ...[order, order >> 1n, field, field - order, 2n ** 128n, 2n ** 255n].map((at) =>
      fc.bigInt({ min: at - 3n, max: at + 3n }),
    ),
    fc.bigInt({ min: 2n ** 256n - 3n, max: 2n ** 256n - 1n }),
    word.map((bytes) => BigInt(bytesToHex(bytes))),
  )
  .map((value) => hexToBytes(`0x${value.toString(16).padStart(64, '0')}`))

type Input = { digest: Uint8Array; rs: Uint8Array; recovery: 0 | 1 }
const recovery = fc.constantFrom<0 | 1>(0, 1)
const valid = fc.record({ digest: word, key: word }).map(({ digest, key }): Input => {
  key[0] = 1 // below the group order, and not zero
  const { signature, recid } = ecdsaSign(digest, key)
  return { digest, rs: signature, recovery: recid === 1 ? 1 : 0 }
})
const flipped = fc
  .tuple(valid, fc.array(fc.nat(96 * 8 - 1), { minLength: 1, maxLength: 3 }), recovery)
  .map(([{ digest, rs }, bits, recovery]): Input => {
    const bytes = Uint8Array.from([...digest, ...rs])
    for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return { digest: bytes.slice(0, 32), rs: bytes.slice(32), recovery }
  })
const edges = fc
  .record({ digest: fc.oneof(word, number), r: number, s: number, recovery })
  .map(({ digest, r, s, recovery }): Input => ({ digest, rs: Uint8Array.from([...r, ...s]), recovery }))
const random = fc.record({
  digest: word,
  rs: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  recovery,
})

const cases = Number(process.env.DRAIN_FUZZ_CASES ?? 400)

test(
  `${cases} random cases: the same key, or none, from all`,
  () => {
    const seen = { keys: 0, none: 0 }
    fc.assert(
      fc.property(fc.oneof(valid, flipped, random, edges), ({ digest, rs, recovery }) => {
        const keys = names.map((name) => {
          const key = backend(name).recoverPublicKey(digest, rs, recovery)
          return key && bytesToHex(key)
        })
        expect(new Set(keys).size, `${keys}`).toBe(1)
        seen[keys[0] ? 'keys' : 'none'] += 1
      }),
      { numRuns: cases },
    )
    expect(seen.keys).toBeGreaterThan(cases / 4)
    expect(seen.none).toBeGreaterThan(cases / 20)
  },
  30 * 60_000,
)

// --- signing

describe.each(names)('%s signs', (name) => {
  // The vectors of RFC 6979 over secp256k1 that bitcoin's libraries share.
  test.each([
    [
      `${'00'.repeat(31)}01`,
      'Satoshi Nakamoto',
      '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8',
      '2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5',
    ],
    [
      `${'00'.repeat(31)}01`,
      'All those moments will be lost in time, like tears in rain. Time to die...',
      '8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b',
      '547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21',
    ],
    [
      'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140',
      'Satoshi Nakamoto',
      'fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0',
      '6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5',
    ],
    [
      'f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181',
      'Alan Turing',
      '7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c',
      '58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea',
    ],
  ])('with the nonce of RFC 6979: %s, %s', (key, message, r, s) => {
    const digest = createHash('sha256').update(message).digest()
    const { rs } = backend(name).sign(digest, hexToBytes(`0x${key}`))
    expect(bytesToHex(rs)).toBe(`0x${r}${s}`)
  })

  test.each([
    ['zero', 0n],
    ['the group order', order],
    ['above it', 2n ** 256n - 1n],
  ])('not with a key that is %s', (_, number) => {
    const key = hexToBytes(`0x${number.toString(16).padStart(64, '0')}`)
    expect(() => Signature.sign(new Uint8Array(32).fill(1), key, backend(name))).toThrow(
      expect.objectContaining({ code: 'key_invalid', cause: undefined }),
    )
  })

  test.each([
    [31, 32, 'invalid_format'],
    [33, 32, 'invalid_format'],
    [32, 31, 'key_invalid'],
    [32, 33, 'key_invalid'],
  ])('not %d bytes with a key of %d', (length, keyLength, code) => {
    const attempt = () =>
      Signature.sign(new Uint8Array(length).fill(1), new Uint8Array(keyLength).fill(1), backend(name))
    expect(attempt).toThrow(DrainError)
    expect(attempt).toThrow(expect.objectContaining({ code }))
  })
})

test(
  `${cases} random digests and keys: the same signature from all, and from viem`,
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(word, number), fc.oneof(word, number), async (digest, key) => {
        const signatures = names.map((name): Hex | undefined => {
          try {
            return Signature.sign(digest, key, backend(name))
          } catch (error) {
            expect(error).toMatchObject({ code: 'key_invalid' })
            return undefined
          }
        })
        expect(new Set(signatures).size, `${signatures}`).toBe(1)
        const [signature] = signatures
        if (!signature) return
        const account = privateKeyToAccount(bytesToHex(key))
        expect(signature).toBe(await account.sign({ hash: bytesToHex(digest) }))
        expect(Signature.isValid(digest, signature, account.address, backend('native'))).toBe(true)
      }),
      { numRuns: cases },
    )
  },
  30 * 60_000,
)

// --- the choice

test('native is chosen where it loads, at once', async () => {
  const chosen = selectSecp256k1()
  expect(chosen.name).toBe('native')
  await chosen.ready()
  expect(chosen.name).toBe('native')
})

test('another may be asked for; noble stands in until WebAssembly has loaded', async () => {
  expect(selectSecp256k1('noble').name).toBe('noble')
  const chosen = selectSecp256k1('wasm')
  expect(chosen.name).toBe('noble')
  await chosen.ready()
  expect(chosen.name).toBe('wasm')
})

/** What `script` prints, in a process where packages are not installed. */
function runWithout(packages: string[], script: string): string {
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
  const source = `
    import { registerHooks } from 'node:module'
    const missing = ${JSON.stringify(packages)}
    registerHooks({
      resolve(specifier, context, next) {
        if (missing.some((name) => specifier.startsWith(name))) throw new Error('not installed')
        if (specifier === '@drain/core') return next(${url('../../../core/src/index.ts')}, context)
        return next(specifier, context)
      },
    })
    const { selectSecp256k1 } = await import(${url('selectSecp256k1.ts')})
    const attempt = async (choice) => {
      try {
        const chosen = selectSecp256k1(choice)
        await chosen.ready()
        return chosen.name
      } catch (error) {
        return error.code
      }
    }
    ${script}`
  return execFileSync(process.execPath, ['--input-type=module', '--eval', source], {
    encoding: 'utf8',
  }).trim()
}

test('without the native module, WebAssembly; without both, noble; what is asked for and missing is an error', () => {
  const script = "console.log(await attempt(), await attempt('native'), await attempt('wasm'))"
  expect(runWithout(['secp256k1'], script)).toBe('wasm secp256k1_unavailable wasm')
  expect(runWithout(['secp256k1', '@bitauth/libauth'], script)).toBe(
    'noble secp256k1_unavailable secp256k1_unavailable',
  )
})
