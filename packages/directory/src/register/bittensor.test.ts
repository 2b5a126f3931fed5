import { blake2b } from '@noble/hashes/blake2.js'
import { base58 } from '@scure/base'
import { getPublicKey, secretFromSeed, sign } from '@scure/sr25519'
import { describe, expect, test } from 'vitest'
import { hotkeyMessage, isSignedBy, publicKeyOf, verifyHotkeyProof } from './bittensor.ts'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const utf8 = (text: string) => new TextEncoder().encode(text)

function ss58(publicKey: Uint8Array, prefix: readonly number[] = [42], spoil = 0): string {
  const body = new Uint8Array([...prefix, ...publicKey])
  const [first = 0, second = 0] = blake2b(new Uint8Array([...utf8('SS58PRE'), ...body]))
  return base58.encode(new Uint8Array([...body, first ^ spoil, second]))
}

const secret = secretFromSeed(new Uint8Array(32).fill(7))
const hotkey = ss58(getPublicKey(secret))
const apiUrl = 'https://miner.example/api'
const signed = (text: string, key = secret) => hex(sign(key, utf8(text)))

describe('addresses', () => {
  // Of Substrate's documentation: the development accounts Alice and Bob, and the phrase "bottom drive obey …".
  test.each([
    [
      '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY',
      'd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d',
    ],
    [
      '5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty',
      '8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48',
    ],
    [
      '5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV',
      '46ebddef8cd9bb167dc30878d7113b7e168e6f0646beffd77d69d39bad76b47a',
    ],
  ])('%s', (address, key) => {
    expect(hex(publicKeyOf(address) ?? new Uint8Array())).toBe(key)
  })

  test.each([
    ['Polkadot’s form of the third', '12bzRJfh7arnnfPPUZHeJUaE62QLEwhK48QnH9LXeK2m1iZU'],
    ['another prefix', ss58(getPublicKey(secret), [0])],
    ['a prefix of two bytes', ss58(getPublicKey(secret), [0x6a, 0x40])],
    ['a checksum that is off by one bit', ss58(getPublicKey(secret), [42], 1)],
    ['a changed letter', hotkey.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))],
    ['a key that is too short', ss58(getPublicKey(secret).slice(1))],
    ['a key that is too long', ss58(new Uint8Array([...getPublicKey(secret), 1]))],
    ['a sign that is not in the alphabet', `0${hotkey.slice(1)}`],
    ['a space before it', ` ${hotkey}`],
    ['a one before it', `1${hotkey}`],
    ['the key that everybody can sign for', ss58(new Uint8Array(32))],
    ['nothing', ''],
    ['a very long text', 'z'.repeat(100_000)],
  ])('not %s', (_, address) => {
    expect(publicKeyOf(address)).toBeUndefined()
  })
})

describe('signatures of others', () => {
  // From polkadot-js/wasm (packages/wasm-crypto/src/rs/sr25519.rs), made by schnorrkel.
  const wrapped = bytes(
    '48ce2c90e08651adfc8ecef84e916f6d1bb51ebebd16150ee12df247841a5437951ea0f9d632ca165e6ab391532e75e701be6a1caa88c8a6bcca3511f55b4183',
  )
  const wallet = bytes('f84d048da2ddae2d9d8fd6763f469566e8817a26114f39408de15547f6d47805')

  test('are accepted over what they sign, and over nothing else', () => {
    const alice = publicKeyOf('5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY') as Uint8Array
    const bare = bytes(
      '1037eb7e51613d0dcf5930ae518819c87d655056605764840d9280984e1b7063c4566b55bf292fcab07b369d01095879b50517beca4d26e6a65866e25fec0d83',
    )
    const text = 'I hereby verify that I control 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
    expect(isSignedBy(alice, text, bare)).toBe(true)
    expect(isSignedBy(alice, `${text} `, bare)).toBe(false)
    expect(isSignedBy(wallet, text, bare)).toBe(false)
    expect(isSignedBy(wallet, '<Bytes>message to sign</Bytes>', wrapped)).toBe(true)
    expect(isSignedBy(wallet, 'message to sign', wrapped)).toBe(false)
  })
})

describe('a proof', () => {
  const message = hotkeyMessage(hotkey, apiUrl)
  const isProof = (changed: Partial<Parameters<typeof verifyHotkeyProof>[0]>) =>
    verifyHotkeyProof({ hotkey, apiUrl, signature: signed(message), ...changed })

  test('names both, and is taken bare, with 0x, in capitals, and as wallets wrap it', () => {
    expect(message).toBe(`handshake58:${hotkey}:https://miner.example/api`)
    expect(isProof({})).toBe(true)
    expect(isProof({ signature: `0x${signed(message)}` })).toBe(true)
    expect(isProof({ signature: signed(message).toUpperCase() })).toBe(true)
    expect(isProof({ signature: signed(`<Bytes>${message}</Bytes>`) })).toBe(true)
  })

  test('is not one for another API, hotkey, key or text', () => {
    const other = secretFromSeed(new Uint8Array(32).fill(8))
    expect(isProof({ apiUrl: `${apiUrl}/` })).toBe(false)
    expect(isProof({ apiUrl: 'https://thief.example' })).toBe(false)
    expect(isProof({ hotkey: ss58(getPublicKey(other)) })).toBe(false)
    expect(isProof({ signature: signed(message, other) })).toBe(false)
    expect(isProof({ signature: signed(`<Bytes>${message}`) })).toBe(false)
    expect(isProof({ signature: signed(`<Bytes><Bytes>${message}</Bytes></Bytes>`) })).toBe(false)
  })

  test('holds in every one of its bytes', () => {
    const signature = sign(secret, utf8(message))
    for (let index = 0; index < signature.length; index += 1) {
      const changed = signature.slice()
      changed[index] = (changed[index] as number) ^ 1
      expect(isProof({ signature: hex(changed) }), `byte ${index}`).toBe(false)
    }
  })

  test.each([
    ['nothing', ''],
    ['0x', '0x'],
    ['a byte less', 'ab'.repeat(63)],
    ['a byte more', 'ab'.repeat(65)],
    ['no hex', 'zz'.repeat(64)],
    ['a line break', `${'ab'.repeat(64)}\n`],
    ['zeros', '00'.repeat(64)],
    ['ones', 'ff'.repeat(64)],
  ])('is not %s', (_, signature) => {
    expect(isProof({ signature })).toBe(false)
  })

  test('cannot be made without the key for the neutral element', () => {
    // R = s·B verifies for the key 0, whatever the text.
    const forged = sign(secret, utf8('x'))
    expect(isProof({ hotkey: ss58(new Uint8Array(32)), signature: hex(forged) })).toBe(false)
  })
})
