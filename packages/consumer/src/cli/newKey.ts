import { closeSync, existsSync, fsyncSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs'
import { DrainError } from '@drain/core'
import { askPassword, Keystore } from '@drain/keys/node'
import type { Address } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'

/**
 * `drain key new`: a new key in an encrypted keystore, which only its owner can read. Its password stands in a file, or is typed.
 *
 * @throws {DrainError} `keystore_exists`, `keystore_unwritable`, `password_missing`, `password_mistyped`
 */
export async function newKey(file: string, passwordFile: string | undefined): Promise<Address> {
  // Before a password is asked for; the file's creation decides.
  if (existsSync(file)) throw exists(file)
  const password = passwordFile ? readPassword(passwordFile) : await askTwice(file)
  const key = generatePrivateKey()
  writeNew(file, Keystore.encrypt(key, password))
  return privateKeyToAddress(key)
}

async function askTwice(file: string): Promise<string> {
  const password = await askPassword(`New password of ${file}:`)
  if (password !== (await askPassword('Again:'))) {
    throw new DrainError('password_mistyped', 'The two passwords differ.', { action: 'Try again.' })
  }
  return password
}

function readPassword(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new DrainError('keystore_unreadable', `${file} cannot be read (${code}).`, {
      action: 'Check DRAIN_KEYSTORE_PASSWORD_FILE.',
    })
  }
}

/** On disk when it returns: money is sent to the key next. */
function writeNew(file: string, text: string): void {
  let descriptor: number
  try {
    descriptor = openSync(file, 'wx', 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw exists(file)
    throw new DrainError('keystore_unwritable', `${file} cannot be written (${code}).`, {
      action: 'Name a file in a folder that exists and is yours.',
    })
  }
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } catch (error) {
    unlinkSync(file)
    throw error
  } finally {
    closeSync(descriptor)
  }
}

function exists(file: string): DrainError {
  return new DrainError('keystore_exists', `${file} exists already.`, {
    action: 'Name a new file: a key that is overwritten is lost with all that it owns.',
  })
}
