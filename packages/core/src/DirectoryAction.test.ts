import fc from 'fast-check'
import { hashTypedData, keccak256, recoverTypedDataAddress, stringToHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import * as DirectoryAction from './DirectoryAction.ts'
import { InvalidFormatError } from './Errors.ts'

const { canonicalJson, hashBody, typedData } = DirectoryAction

describe('canonicalJson', () => {
  test('orders names, at every depth, and leaves no spaces', () => {
    const value = { b: [{ d: 1, c: null }, true], a: { z: 'x', y: [] } }
    expect(canonicalJson(value)).toBe('{"a":{"y":[],"z":"x"},"b":[{"c":null,"d":1},true]}')
  })

  test('keeps the order of lists', () => {
    expect(canonicalJson([3, 1, [2, 'b', 'a']])).toBe('[3,1,[2,"b","a"]]')
  })

  // RFC 8785, section 3.2.3.
  test('orders names by their UTF-16 code units, also those beyond the first plane', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 }
    expect(canonicalJson(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}')
  })

  // RFC 8785, section 3.2.2.2.
  test('escapes what JSON must and nothing else', () => {
    expect(canonicalJson('\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/')).toBe(
      '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"',
    )
  })

  test('does not mix up composed and decomposed letters', () => {
    expect(hashBody({ name: '\u00e9' })).not.toBe(hashBody({ name: 'e\u0301' }))
  })

  test('leaves out what is undefined, as JSON does', () => {
    expect(canonicalJson({ a: undefined, b: { c: undefined } })).toBe('{"b":{}}')
  })

  test('takes names that mean something to JavaScript as any other', () => {
    expect(canonicalJson(JSON.parse('{"constructor":1,"__proto__":{"b":1,"a":2}}'))).toBe(
      '{"__proto__":{"a":2,"b":1},"constructor":1}',
    )
  })

  test.each([
    [0, '0'],
    [-0, '0'],
    [-1, '-1'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
    [1e21, '1e+21'],
    [true, 'true'],
    [null, 'null'],
    ['', '""'],
    [{}, '{}'],
  ])('writes %j as %s', (value, text) => {
    expect(canonicalJson(value)).toBe(text)
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['no number', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a date', new Date(0)],
    ['a map', new Map([['a', 1]])],
    ['bytes', new Uint8Array(2)],
  ])('refuses %s, at any depth', (_, value) => {
    expect(() => canonicalJson(value)).toThrow(InvalidFormatError)
    expect(() => canonicalJson([value])).toThrow(InvalidFormatError)
    if (value !== undefined) expect(() => canonicalJson({ a: { b: value } })).toThrow(InvalidFormatError)
  })

  test('refuses a list with a hole', () => {
    expect(() => canonicalJson(new Array(2))).toThrow(InvalidFormatError)
  })

  test('says the same as JSON, whatever the order of names', () => {
    const property = fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value)
      expect(canonicalJson(JSON.parse(text))).toBe(text)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(canonicalJson(turned(value))).toBe(text)
    })
    fc.assert(property, { seed: 1 })
  })
})

describe('hashBody', () => {
  test('is the keccak-256 of the UTF-8 text', () => {
    expect(hashBody({ b: 1, a: 'ü' })).toBe(keccak256(stringToHex('{"a":"ü","b":1}')))
    expect(hashBody({ b: 1, a: 'ü' })).toBe(
      '0x4f59e3b787299d798d56c879084dce80634d532466ecb21e12f3b444fae2f18d',
    )
  })
})

describe('typedData', () => {
  const action: DirectoryAction.DirectoryAction = {
    ...{ directory: 'https://market.example', action: 'provider.register', subject: 'https://api.example' },
    ...{ body: { name: 'A provider', chainId: 137 }, issuedAt: 1_900_000_000_000n },
  }
  const hashOf = (changes: object = {}, chainId = 137) =>
    hashTypedData(typedData({ ...action, ...changes }, { chainId }))

  test('has a hash that signers of other languages can check theirs against', () => {
    expect(hashOf()).toBe('0x50c552804991d9ec5b6ee5f077a8df8b354a40450cd3948d41a274af76c32f46')
  })

  test('is the same for a body with its names in another order', () => {
    expect(hashOf({ body: { chainId: 137, name: 'A provider' } })).toBe(hashOf())
  })

  test.each<[string, object, number?]>([
    ['directory', { directory: 'https://other.example' }],
    ['action', { action: 'provider.withdraw' }],
    ['subject', { subject: 'https://api.example/' }],
    ['body', { body: { name: 'A provider', chainId: 1 } }],
    ['time', { issuedAt: 1_900_000_000_001n }],
    ['chain', {}, 1],
  ])('is another for another %s', (_, changes, chainId) => {
    expect(hashOf(changes, chainId)).not.toBe(hashOf())
  })

  test('is what a wallet signs', async () => {
    const account = privateKeyToAccount(`0x${'11'.repeat(32)}`)
    const data = typedData(action, { chainId: 137 })
    const signature = await account.signTypedData(data)
    expect(await recoverTypedDataAddress({ ...data, signature })).toBe(account.address)
  })

  test('refuses a body that JSON can’t express', () => {
    expect(() => typedData({ ...action, body: { amount: 1n } }, { chainId: 137 })).toThrow(InvalidFormatError)
  })
})

/** The same, with the names of all objects in the opposite order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, turned(member)]),
  )
}
