import { DrainError } from '@drain/core'
import { type Address, type Hex, isAddressEqual } from 'viem'
import { localAccount } from '../localAccount.ts'
import { askPassword } from './askPassword.ts'
import * as Keystore from './Keystore.ts'

/**
 * The account of this process, from the environment:
 * - `DRAIN_PRIVATE_KEY`, or
 * - `DRAIN_KEYSTORE`, an encrypted keystore's file, whose password stands in the file `DRAIN_KEYSTORE_PASSWORD_FILE` or is asked
 *   for on the terminal.
 *
 * A key that must not be in the process at all (KMS, HSM) needs none of this: pass a viem `LocalAccount` of your own as
 * `account`, made with `toAccount`. No error repeats a key or a password.
 *
 * @example
 * ```ts
 * const paywall = createPaywall({ account: await loadKey(), chainId: 137, ledger: sqliteLedger('drain.db') })
 * ```
 * @throws {DrainError} `key_missing`, `key_ambiguous`, `key_invalid`, `key_of_another`, `keystore_unreadable`, `keystore_invalid`,
 * `keystore_password`, `password_missing`
 */
export async function loadKey(options: loadKey.Options = {}): Promise<localAccount.ReturnValue> {
  const { env = process.env, provider, ask = askPassword } = options
  const { DRAIN_PRIVATE_KEY: plain, DRAIN_KEYSTORE: file } = env
  const { DRAIN_KEYSTORE_PASSWORD_FILE: passwordFile } = env
  if (plain && file) {
    throw new DrainError('key_ambiguous', 'Both DRAIN_PRIVATE_KEY and DRAIN_KEYSTORE are set.', {
      action: 'Unset one of them, so that it is clear which account is meant.',
    })
  }
  if (!plain && !file) {
    throw new DrainError('key_missing', 'There is no private key.', {
      action: 'Set DRAIN_KEYSTORE to a keystore’s file, or DRAIN_PRIVATE_KEY.',
    })
  }
  const account = plain
    ? toAccount(plain, 'DRAIN_PRIVATE_KEY is')
    : await openKeystore(file as string, passwordFile, ask)
  if (provider && !isAddressEqual(account.address, provider)) {
    throw new DrainError('key_of_another', `The key is of ${account.address}, not of ${provider}.`, {
      action: 'Only the account that channels pay can claim from them: use its key.',
    })
  }
  return account
}

export declare namespace loadKey {
  type Options = {
    /** Default: `process.env`. */
    env?: Record<string, string | undefined> | undefined
    /** Whose key it must be. */
    provider?: Address | undefined
    /** Gets the password of a keystore. Default: asks on the terminal, without showing what is typed. */
    ask?: ((question: string) => Promise<string>) | undefined
  }
}

/** Errors of a keystore that don't say which file it is. */
const fileless = ['keystore_invalid', 'keystore_password']

async function openKeystore(
  file: string,
  passwordFile: string | undefined,
  ask: (question: string) => Promise<string>,
): Promise<localAccount.ReturnValue> {
  try {
    const keystore = Keystore.parse(read(file))
    // Editors and `echo` end the line; nothing else belongs not to the password.
    const password = passwordFile
      ? read(passwordFile).replace(/\r?\n$/, '')
      : await ask(`Password of ${file}:`)
    const account = toAccount(Keystore.decrypt(keystore, password), 'In it is')
    if (keystore.address && !isAddressEqual(account.address, keystore.address)) {
      throw new DrainError(
        'keystore_invalid',
        `It says to be of ${keystore.address}, but its key is of ${account.address}.`,
        { action: 'Find out who changed it.' },
      )
    }
    return account
  } catch (error) {
    if (!(error instanceof DrainError) || !fileless.includes(error.code)) throw error
    const { code, details, action } = error
    throw new DrainError(code, `${file} can't be used. ${error.shortMessage}`, { details, action })
  }
}

function read(file: string): string {
  try {
    return process.getBuiltinModule('node:fs').readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new DrainError('keystore_unreadable', `${file} cannot be read (${code}).`, {
      action: 'Check the name, and who may read it.',
    })
  }
}

/** The errors of what checks a key may quote it. */
function toAccount(text: string, subject: string): localAccount.ReturnValue {
  const digits = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text.trim())?.[1]
  try {
    return localAccount(`0x${digits}` as Hex)
  } catch (error) {
    const { action } = error as DrainError
    throw new DrainError('key_invalid', `${subject} no private key.`, { action })
  }
}
