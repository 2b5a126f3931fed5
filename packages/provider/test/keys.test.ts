/** The settlement key: from the environment, or from keystores that other tools wrote. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { DrainError } from '@drain/core'
import { loadKey, secretFile } from '@drain/provider'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'drain-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))

function write(name: string, content: unknown): string {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

/** What `loadKey` refuses with; nothing in it may be one of `secrets`. */
async function refusal(options: loadKey.Options, secrets: string[]): Promise<DrainError> {
  const error = await loadKey(options).then(
    () => undefined,
    (error) => error,
  )
  expect(error).toBeInstanceOf(DrainError)
  for (const secret of secrets) {
    const bare = secret.replace(/^0x/, '')
    expect(inspect(error, { depth: 20, showHidden: true }).toLowerCase()).not.toContain(bare.toLowerCase())
  }
  return error
}

describe('a key in the environment', () => {
  const key = generatePrivateKey()
  const { address } = privateKeyToAccount(key)

  test.each([key, key.slice(2), ` ${key.toUpperCase().replace('0X', '0x')}\n`])(
    'is taken as it is',
    async (text) => {
      const account = await loadKey({ env: { DRAIN_PRIVATE_KEY: text }, provider: address })
      expect(account.address).toBe(address)
    },
  )

  test.each([
    ['cut off', key.slice(0, -2)],
    ['of zeros', `0x${'00'.repeat(32)}`],
    ['over the order', `0x${'ff'.repeat(32)}`],
    ['a phrase', 'test test test test test test test test test test test junk'],
  ])('that is %s is refused without being repeated', async (_, text) => {
    const error = await refusal({ env: { DRAIN_PRIVATE_KEY: text } }, [text])
    expect(error.code).toBe('key_invalid')
  })

  test('must be the provider’s', async () => {
    const provider = privateKeyToAccount(generatePrivateKey()).address
    const error = await refusal({ env: { DRAIN_PRIVATE_KEY: key }, provider }, [key])
    expect(error.code).toBe('key_of_another')
    expect(error.message).toContain(address)
    expect(error.message).toContain(provider)
  })

  test('is no choice beside a keystore, and none at all is said so', async () => {
    const both = { DRAIN_PRIVATE_KEY: key, DRAIN_KEYSTORE: 'keystore.json' }
    expect((await refusal({ env: both }, [key])).code).toBe('key_ambiguous')
    expect((await refusal({ env: { DRAIN_PRIVATE_KEY: '' } }, [])).code).toBe('key_missing')
  })
})

describe('a keystore of `cast wallet import`', () => {
  const key = generatePrivateKey()
  const { address } = privateKeyToAccount(key)
  const password = 'wörd with spaces, äöü 🔑 '
  let keystore: string
  beforeAll(() => {
    const options = ['--private-key', key, '--unsafe-password', password, '--keystore-dir', folder]
    execFileSync(root('node_modules/.bin/cast'), ['wallet', 'import', 'provider', ...options])
    keystore = join(folder, 'provider')
  })

  test.each(['', '\n', '\r\n'])('opens with the password in a file that ends in %j', async (end) => {
    const env = {
      DRAIN_KEYSTORE: keystore,
      DRAIN_KEYSTORE_PASSWORD_FILE: write('password', `${password}${end}`),
    }
    expect((await loadKey({ env, provider: address })).address).toBe(address)
  })

  test('asks for the password where there is no file', async () => {
    const asked: string[] = []
    const ask = async (question: string) => {
      asked.push(question)
      return password
    }
    expect((await loadKey({ env: { DRAIN_KEYSTORE: keystore }, ask })).address).toBe(address)
    expect(asked).toEqual([`Password of ${keystore}:`])
  })

  test('stays closed to another password', async () => {
    for (const wrong of [password.trim(), '', `${password}x`]) {
      const error = await refusal({ env: { DRAIN_KEYSTORE: keystore }, ask: async () => wrong }, [
        key,
        password,
      ])
      expect(error.code).toBe('keystore_password')
      expect(error.message).toContain(keystore)
    }
  })

  test('that was changed is refused', async () => {
    const stored = JSON.parse(readFileSync(keystore, 'utf8'))
    const ask = async () => password
    const changes: [Record<string, unknown>, string][] = [
      [{ version: 1 }, 'keystore_invalid'],
      [{ crypto: undefined }, 'keystore_invalid'],
      [{ address: 'ff'.repeat(20) }, 'keystore_invalid'],
      [{ crypto: { ...stored.crypto, cipher: 'aes-128-cbc' } }, 'keystore_invalid'],
      [{ crypto: { ...stored.crypto, kdf: 'argon2' } }, 'keystore_invalid'],
      [{ crypto: { ...stored.crypto, ciphertext: '00'.repeat(31) } }, 'keystore_invalid'],
      [{ crypto: { ...stored.crypto, ciphertext: '00'.repeat(32) } }, 'keystore_password'],
      ...[{ n: 2 ** 30 }, { n: 8191 }, { r: -1 }, { p: 1e9 }, { dklen: 64 }, { salt: 'zz' }].map(
        (change): [Record<string, unknown>, string] => [
          { crypto: { ...stored.crypto, kdfparams: { ...stored.crypto.kdfparams, ...change } } },
          'keystore_invalid',
        ],
      ),
    ]
    for (const [change, code] of changes) {
      const env = { DRAIN_KEYSTORE: write('changed', { ...stored, ...change }) }
      expect((await refusal({ env, ask }, [key, password])).code, JSON.stringify(change)).toBe(code)
    }
  })

  test('that is missing, or something else, is refused', async () => {
    const ask = async () => password
    const missing = join(folder, 'missing')
    expect(await refusal({ env: { DRAIN_KEYSTORE: missing }, ask }, [])).toMatchObject({
      code: 'keystore_unreadable',
      message: expect.stringContaining(missing),
    })
    for (const content of ['', 'null', '[]', key, '{"version":3}', '{"version":3,"crypto":{}}']) {
      const env = { DRAIN_KEYSTORE: write('other', content) }
      expect((await refusal({ env, ask }, [key])).code).toBe('keystore_invalid')
    }
    const env = { DRAIN_KEYSTORE: keystore, DRAIN_KEYSTORE_PASSWORD_FILE: missing }
    expect((await refusal({ env }, [])).code).toBe('keystore_unreadable')
  })

  test('without a password or a terminal is refused', async () => {
    expect((await refusal({ env: { DRAIN_KEYSTORE: keystore } }, [key])).code).toBe('password_missing')
  })
})

// https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/
describe('the test vectors of Web3 Secret Storage', () => {
  const key = '0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'
  const ask = async () => 'testpassword'

  test('pbkdf2', async () => {
    const keystore = {
      crypto: {
        cipher: 'aes-128-ctr',
        cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
        ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
        kdf: 'pbkdf2',
        kdfparams: {
          c: 262144,
          dklen: 32,
          prf: 'hmac-sha256',
          salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
        },
        mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
      },
      id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
      version: 3,
    }
    const account = await loadKey({ env: { DRAIN_KEYSTORE: write('pbkdf2', keystore) }, ask })
    expect(account.address).toBe(privateKeyToAccount(key).address)
  })

  test('scrypt', async () => {
    const keystore = {
      address: '008aeeda4d805471df9b2a5b0f38a0c3bcba786b',
      Crypto: {
        cipher: 'aes-128-ctr',
        cipherparams: { iv: '83dbcc02d8ccb40e466191a123791e0e' },
        ciphertext: 'd172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c',
        kdf: 'scrypt',
        kdfparams: {
          dklen: 32,
          n: 262144,
          p: 8,
          r: 1,
          salt: 'ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19',
        },
        mac: '2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097',
      },
      id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
      version: 3,
    }
    const account = await loadKey({ env: { DRAIN_KEYSTORE: write('scrypt', keystore) }, ask })
    expect(account.address).toBe(privateKeyToAccount(key).address)
  })
})

test('a secret in a file is read anew at each call', () => {
  const file = write('token', ' first \n')
  const token = secretFile(file)
  expect(token()).toBe('first')
  write('token', 'second\n')
  expect(token()).toBe('second')
  rmSync(file)
  expect(token()).toBeUndefined()
})
