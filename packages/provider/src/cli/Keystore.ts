/** Encrypted keystores, as geth, foundry's `cast wallet` and web3.py write them: Web3 Secret Storage, version 3. */
import { DrainError } from '@drain/core'
import * as Storage from 'ox/Keystore'
import type { Hex } from 'viem'

export type Keystore = {
  readonly storage: Storage.Keystore
  /** As the file says it, which nobody vouches for. Foundry leaves it out. */
  readonly address: Hex | undefined
}

/** Four times what geth takes. */
const mostMemory = 2 ** 30
const mostIterations = 10_000_000

/** @throws {DrainError} `keystore_invalid` */
export function parse(text: string): Keystore {
  try {
    const { version, address, crypto, Crypto } = JSON.parse(text)
    const { cipher, cipherparams, ciphertext, mac, ...derivation } = crypto ?? Crypto
    if (version !== 3) throw invalid(`has version ${String(version).slice(0, 10)}, not 3`)
    if (cipher !== 'aes-128-ctr') throw invalid('uses another cipher than aes-128-ctr')
    const storage = {
      crypto: {
        cipher,
        cipherparams: { iv: digits(cipherparams.iv, 16) },
        ciphertext: digits(ciphertext, 32),
        mac: digits(mac, 32),
        ...parseDerivation(derivation.kdf, derivation.kdfparams),
      },
      id: '',
      version,
    } satisfies Storage.Keystore
    return { storage, address: address === undefined ? undefined : `0x${digits(address, 20)}` }
  } catch (error) {
    if (error instanceof DrainError) throw error
    throw invalid('is no keystore')
  }
}

/** By what a password and salt become a key. */
function parseDerivation(
  kdf: unknown,
  { salt: saltText, dklen, n, r, p, c, prf }: Record<string, unknown>,
): Pick<Storage.DeriveOpts, 'kdf' | 'kdfparams'> {
  const salt = digits(saltText)
  if (dklen !== 32) throw invalid('derives a key of another length than 32')
  if (kdf === 'scrypt' && isCount(n) && isCount(r) && isCount(p)) {
    if (!Number.isInteger(Math.log2(n)) || n === 1) throw invalid('has an n that is no power of 2')
    if (128 * n * r > mostMemory || p > 16) throw invalid('asks for too much memory or time')
    return { kdf, kdfparams: { dklen, salt, n, r, p } }
  }
  if (kdf === 'pbkdf2' && isCount(c) && prf === 'hmac-sha256') {
    if (c > mostIterations) throw invalid('asks for too much time')
    return { kdf, kdfparams: { dklen, salt, c, prf } }
  }
  throw invalid('uses another key derivation than scrypt or pbkdf2 with hmac-sha256')
}

/** The private key. Takes seconds, in which the process does nothing else. @throws {DrainError} `keystore_password` */
export function decrypt({ storage }: Keystore, password: string): Hex {
  // Not `toKeyAsync`: it takes no notice of r and p.
  const key = Storage.toKey(storage, { password })
  try {
    return Storage.decrypt(storage, key)
  } catch {
    throw new DrainError('keystore_password', 'The password does not open the keystore.', {
      action: 'Check the password, and that it is of this keystore.',
    })
  }
}

/** Hex digits without 0x, of that many bytes. */
function digits(value: unknown, length?: number): string {
  const found = typeof value === 'string' ? value.replace(/^0x/, '').toLowerCase() : ''
  if (!/^(?:[0-9a-f]{2})+$/.test(found)) throw invalid('is no keystore')
  if (length !== undefined && found.length !== 2 * length) throw invalid('is no keystore')
  return found
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}

function invalid(problem: string): DrainError {
  return new DrainError('keystore_invalid', `The file ${problem}.`, {
    action: 'Name a keystore of Web3 Secret Storage, version 3: `cast wallet import` makes one.',
  })
}
