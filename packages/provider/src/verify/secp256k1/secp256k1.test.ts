/**
 * The backends agree with each other, and with the contract (contracts/test/Signatures.t.sol runs the same vectors).
 *
 * More random cases than CI runs, for about ten minutes:
 *
 *   DRAIN_FUZZ_CASES=100000 vitest run packages/provider/src/verify/secp256k1
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Deployment, Domain, Signature } from '@drain/core'
import fc from 'fast-check'
import { type Address, bytesToHex, type Hex, hexToBytes } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { beforeAll, describe, expect, test } from 'vitest'
import { verifyVoucher } from '../verifyVoucher.ts'
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

type Case = Record<'name' | 'amount' | 'nonce' | 'deposit', string> &
  Record<'channelId' | 'signature', Hex> & { consumer: Address; accepted: boolean }
const vectors = JSON.parse(
  readFileSync(new URL('../../../../../vectors/signatures.json', import.meta.url), 'utf8'),
) as { domain: { chainId: number; verifyingContract: Address }; provider: Address; cases: Case[] }
const { provider } = vectors
const { chainId, verifyingContract: contract } = vectors.domain
const deployment = Deployment.from({ chainId, contract, token: contract })
const domainSeparator = hexToBytes(Domain.separator(deployment))

describe.each(names)('%s', (name) => {
  test.each(vectors.cases)('$name: accepted $accepted', (vector) => {
    const [amount, nonce, deposit] = [vector.amount, vector.nonce, vector.deposit].map(BigInt) as [
      bigint,
      bigint,
      bigint,
    ]
    const { channelId, signature, consumer } = vector
    const channel = { id: channelId, consumer, provider, deposit, claimed: 0n, expiry: 2n ** 32n - 1n }
    const context = { provider, deployment, domainSeparator, now: 0n, secp256k1: backend(name) }
    const verdict = verifyVoucher({ channelId, amount, nonce, signature }, channel, context)
    expect(verdict.ok).toBe(vector.accepted)
    if (verdict.ok) expect(verdict.voucher.signature).toBe(signature)
    else expect(verdict.rejection.code).toBe('invalid_signature')
  })
})

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

test('signed here, recovered by all', async () => {
  const key = `0x${'07'.repeat(32)}` as const
  const account = privateKeyToAccount(key)
  const digest = hexToBytes(`0x${'11'.repeat(32)}`)
  const signature = await account.sign({ hash: bytesToHex(digest) })
  for (const name of names) {
    expect(Signature.recoverAddress(digest, signature, backend(name))).toBe(account.address.toLowerCase())
  }
})

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
        if (specifier === '@drain/core') return next(${url('../../../../core/src/index.ts')}, context)
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
