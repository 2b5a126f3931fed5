/** Asks on the terminal for a password, without showing it. @throws {DrainError} `password_missing` when there is no terminal. */
import { DrainError } from '@drain/core'

export async function askPassword(question: string): Promise<string> {
  const { stdin, stderr } = process
  if (!stdin.isTTY || !stderr.isTTY) {
    throw new DrainError('password_missing', 'There is no terminal to ask for the password on.', {
      action: 'Set DRAIN_KEYSTORE_PASSWORD_FILE.',
    })
  }
  const { createInterface } = process.getBuiltinModule('node:readline')
  const { Writable } = process.getBuiltinModule('node:stream')
  // Made before the question is shown: from here on the terminal shows nothing that is typed.
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: stdin, output: silence, terminal: true, historySize: 0 })
  stderr.write(`${question} `)
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.once('line', resolve)
      terminal.once('SIGINT', () => reject(new DrainError('interrupted', 'Interrupted.')))
      terminal.once('close', () => reject(new DrainError('password_missing', 'No password was typed.')))
    })
  } finally {
    terminal.close()
    stderr.write('\n')
  }
}
