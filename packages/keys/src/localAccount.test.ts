/** The account is viem's but for its speed: the same signatures, by every library and every method. */
import { inspect } from 'node:util'
import { Signature } from '@drain/core'
import {
  bytesToHex,
  createWalletClient,
  custom,
  hexToBytes,
  parseGwei,
  recoverAddress,
  stringToHex,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { polygon } from 'viem/chains'
import { describe, expect, test } from 'vitest'
import { localAccount } from './localAccount.ts'

const privateKey = `0x${'4f'.repeat(32)}` as const
const viems = privateKeyToAccount(privateKey)
const hash = `0x${'11'.repeat(32)}` as const
const typedData = {
  domain: { name: 'DrainChannel', version: '1', chainId: 137, verifyingContract: viems.address },
  types: { Voucher: [{ name: 'amount', type: 'uint256' }] },
  primaryType: 'Voucher',
  message: { amount: 5n },
} as const

describe.each(['native', 'wasm', 'noble', undefined] as const)('with %s', (secp256k1) => {
  const account = localAccount(privateKey, { secp256k1 })

  test('every method signs as viem does, before and after the library has loaded', async () => {
    const transaction = { chainId: 137, to: viems.address, maxFeePerGas: parseGwei('30'), nonce: 1 } as const
    const authorization = { address: viems.address, chainId: 137, nonce: 1 } as const
    for (const _ of ['before', 'after']) {
      expect(await account.sign({ hash })).toBe(await viems.sign({ hash }))
      for (const message of ['hello', '', { raw: stringToHex('hello') }]) {
        expect(await account.signMessage({ message })).toBe(await viems.signMessage({ message }))
      }
      expect(await account.signTypedData(typedData)).toBe(await viems.signTypedData(typedData))
      expect(await account.signTransaction(transaction)).toBe(await viems.signTransaction(transaction))
      expect(await account.signAuthorization(authorization)).toEqual(
        await viems.signAuthorization(authorization),
      )
      await account.ready()
    }
  })

  test('is of the same address, type and source', () => {
    const { address, publicKey, source, type, nonceManager } = account
    expect({ address, publicKey, source, type, nonceManager }).toEqual({
      ...{ address: viems.address, publicKey: viems.publicKey, source: 'privateKey', type: 'local' },
      nonceManager: undefined,
    })
  })
})

test('signs for a viem client', async () => {
  const client = createWalletClient({
    account: localAccount(privateKey),
    chain: polygon,
    transport: custom({ request: async ({ method }) => Promise.reject(new Error(`asked for ${method}`)) }),
  })
  const signature = await client.signTypedData(typedData)
  expect(signature).toBe(await viems.signTypedData(typedData))
})

test('a digest of another length is refused, not read beyond its end', async () => {
  for (const hash of ['0x', '0x11', `0x${'11'.repeat(33)}`] as const) {
    for (const secp256k1 of ['native', 'wasm', 'noble'] as const) {
      const account = localAccount(privateKey, { secp256k1 })
      await account.ready()
      await expect(account.sign({ hash })).rejects.toMatchObject({ code: 'invalid_format' })
    }
  }
})

test('parallel signatures are each of their own digest', async () => {
  const account = localAccount(privateKey)
  const hashes = Array.from({ length: 50 }, (_, index) => bytesToHex(new Uint8Array(32).fill(index + 1)))
  const signatures = await Promise.all(hashes.map((hash) => account.sign({ hash })))
  for (const [index, signature] of signatures.entries()) {
    const [digest] = [hexToBytes(hashes[index] ?? '0x')]
    expect(Signature.isValid(digest, signature, account.address)).toBe(true)
    expect(await recoverAddress({ hash: digest, signature })).toBe(account.address)
  }
})

describe('the key shows nowhere', () => {
  const bare = privateKey.slice(2)
  const bytes = Array(32).fill(0x4f).join(', ')
  const shown = (value: unknown) => inspect(value, { depth: 20, showHidden: true, maxArrayLength: null })

  test('not in the account’s JSON, inspection or properties', async () => {
    const account = localAccount(privateKey)
    await account.sign({ hash })
    for (const text of [JSON.stringify(account), shown(account), String(account)]) {
      expect(text).not.toContain(bare)
      expect(text).not.toContain(bytes)
    }
  })

  test.each([
    ['cut off', privateKey.slice(0, -2)],
    ['without 0x', bare],
    ['of zeros', `0x${'00'.repeat(32)}`],
    ['over the order', `0x${'ff'.repeat(32)}`],
    ['no hex', `0x${'4z'.repeat(32)}`],
  ])('not in the error about a key that is %s', (_, text) => {
    const attempt = () => localAccount(text as typeof privateKey)
    expect(attempt).toThrow(expect.objectContaining({ code: 'key_invalid' }))
    try {
      attempt()
    } catch (error) {
      expect(shown(error)).not.toContain(text.replace(/^0x/, ''))
    }
  })
})
