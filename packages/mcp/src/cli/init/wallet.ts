/** The key that a client's server gets: a new one, or a keystore that is there. Never a plain one. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DrainError } from '@drain/core'
import { Keystore, loadKey } from '@drain/keys/node'
import type { Address } from 'viem'
import { generatePrivateKey } from 'viem/accounts'
import { createSecret } from './newFile.ts'

type Env = Record<string, string | undefined>

export type Wallet = {
  keystore: string
  passwordFile: string | undefined
  /** From the key itself, not from what the file says; `undefined` where it wasn't opened. */
  address: Address | undefined
  isNew: boolean
}

/** Where `--key new` puts it. */
export function walletPlace(stateDir: string): { keystore: string; passwordFile: string } {
  const folder = resolve(stateDir)
  return { keystore: join(folder, 'wallet.json'), passwordFile: join(folder, 'wallet.password') }
}

/**
 * Makes a key in an encrypted keystore, with a random password in a file beside it. One that is there is used, and never
 * overwritten. It is read back from the disk: money is sent to it next.
 *
 * @throws {DrainError} `keystore_unwritable`, `password_missing`, and those of `loadKey`
 */
export async function makeWallet(stateDir: string, env: Env): Promise<Wallet> {
  const { keystore, passwordFile } = walletPlace(stateDir)
  let isNew = false
  if (!existsSync(keystore)) {
    try {
      mkdirSync(resolve(stateDir), { recursive: true, mode: 0o700 })
      createSecret(passwordFile, `${randomBytes(32).toString('base64url')}\n`)
      const password = readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '')
      isNew = createSecret(keystore, Keystore.encrypt(generatePrivateKey(), password))
    } catch (error) {
      if (error instanceof DrainError) throw error
      const { code } = error as NodeJS.ErrnoException
      throw new DrainError('keystore_unwritable', `${keystore} cannot be written (${code}).`, {
        action: 'Check who may write there, or set DRAIN_STATE_DIR to a folder of yours.',
      })
    }
  }
  const isElsewhere = !existsSync(passwordFile) && env.DRAIN_KEYSTORE_PASSWORD_FILE
  const wallet = await openWallet(keystore, isElsewhere || passwordFile)
  return { ...wallet, isNew }
}

/** A keystore that is there. @throws {DrainError} those of `loadKey` */
export async function openWallet(file: string, passwordFile: string | undefined): Promise<Wallet> {
  const keystore = resolve(file)
  if (!passwordFile) {
    assertKeystore(keystore)
    return { keystore, passwordFile: undefined, address: undefined, isNew: false }
  }
  const place = { keystore, passwordFile: resolve(passwordFile) }
  const { address } = await loadKey({
    env: { DRAIN_KEYSTORE: place.keystore, DRAIN_KEYSTORE_PASSWORD_FILE: place.passwordFile },
  })
  return { ...place, address, isNew: false }
}

function assertKeystore(file: string): void {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new DrainError('keystore_unreadable', `${file} cannot be read (${code}).`, {
      action: 'Name a keystore’s file, or make one: --key new.',
    })
  }
  Keystore.parse(text)
}
