/** Encrypted keystores, as geth, foundry's `cast wallet` and web3.py write them: Web3 Secret Storage, version 3. */
import { DrainError } from '@drain/core'
import * as Storage from 'ox/Keystore'
import { bytesToHex, type Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'

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

/**
 * A keystore's text, as geth makes it: scrypt with 256 MB of memory. Takes a second, in which the process does nothing else.
 *
 * @throws {DrainError} `password_missing` for an empty password
 */
export function encrypt(privateKey: Hex, password: string): string {
  if (password === '') {
    throw new DrainError('password_missing', 'A keystore without a password protects nothing.', {
      action: 'Choose one.',
    })
  }
  const iv = crypto.getRandomValues(new Uint8Array(16))
  const salt = bytesToHex(crypto.getRandomValues(new Uint8Array(32))).slice(2)
  const derivation = { kdf: 'scrypt', kdfparams: { dklen: 32, n: 2 ** 18, r: 8, p: 1, salt } } as const
  const key = deriveKey(password, derivation)
  const address = privateKeyToAddress(privateKey).slice(2).toLowerCase()
  return `${JSON.stringify({ address, ...Storage.encrypt(privateKey, key, { ...derivation, iv }) }, undefined, 2)}\n`
}

/** By what a password and salt become a key. */
function parseDerivation(
  kdf: unknown,
  { salt: saltText, dklen, n, r, p, c, prf }: Record<string, unknown>,
): Derivation {
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

/** The private key. Takes a second, in which the process does nothing else. @throws {DrainError} `keystore_password` */
export function decrypt({ storage }: Keystore, password: string): Hex {
  const key = deriveKey(password, storage.crypto)
  try {
    return Storage.decrypt(storage, key)
  } catch {
    throw new DrainError('keystore_password', 'The password does not open the keystore.', {
      action: 'Check the password, and that it is of this keystore.',
    })
  }
}

type Derivation = Pick<Storage.DeriveOpts, 'kdf' | 'kdfparams'>

/** By Node, which is several times as fast as JavaScript. */
function deriveKey(password: string, { kdfparams }: Derivation): Hex {
  const { pbkdf2Sync, scryptSync } = process.getBuiltinModule('node:crypto')
  const salt = Buffer.from(kdfparams.salt, 'hex')
  if ('c' in kdfparams) return bytesToHex(pbkdf2Sync(password, salt, kdfparams.c, kdfparams.dklen, 'sha256'))
  const { n, r, p, dklen } = kdfparams
  if (n < 2 ** (16 * r))
    return bytesToHex(scryptSync(password, salt, dklen, { N: n, r, p, maxmem: 2 * mostMemory }))
  // RFC 7914 has no such parameters, and OpenSSL doesn't take them. Keystores do have n = 2^18 with r = 1.
  const [key] = Storage.scrypt({ password, salt, n, r, p })
  return key()
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
