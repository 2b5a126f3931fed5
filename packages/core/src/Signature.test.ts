import { hexToBytes, keccak256, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import * as Signature from './Signature.ts'

const privateKey = `0x${'07'.repeat(32)}` as const
const account = privateKeyToAccount(privateKey)

test('signs as viem does, and recovers whom it signed with', async () => {
  for (const text of ['', 'a', 'b', 'c', 'd', 'e', 'f', 'g']) {
    const hash = keccak256(toHex(text))
    const signature = Signature.sign(hexToBytes(hash), hexToBytes(privateKey))
    expect(signature).toBe(await account.sign({ hash }))
    expect(Signature.recoverAddress(hexToBytes(hash), signature)).toBe(account.address.toLowerCase())
  }
})

test('a digest above the group order is signed as the number that it is modulo that order', async () => {
  const hash = `0x${'ff'.repeat(32)}` as const
  const seen: Uint8Array[] = []
  const spy: Signature.Secp256k1 = {
    ...Signature.noble,
    sign(digest, key) {
      seen.push(digest.slice())
      return Signature.noble.sign(digest, key)
    },
  }
  const digest = hexToBytes(hash)
  expect(Signature.sign(digest, hexToBytes(privateKey), spy)).toBe(await account.sign({ hash }))
  expect(seen.map((digest) => toHex(digest))).toEqual([
    '0x000000000000000000000000000000014551231950b75fc4402da1732fc9bebe',
  ])
  expect(toHex(digest)).toBe(hash) // the caller's own is left as it is
})
