import { Writable } from 'node:stream'
import { DrainError } from '@drain/core'
import { describe, expect, test } from 'vitest'
import { runCommand, tableOf, UsageError } from './commandLine.ts'

async function run(command: () => Promise<number>) {
  let text = ''
  const stderr = new Writable({
    write(chunk, _encoding, done) {
      text += chunk
      done()
    },
  })
  return { code: await runCommand('Usage: …\n', { stderr }, command), text }
}

describe('exit codes', () => {
  const failing = (error: unknown) => run(() => Promise.reject(error))

  test('are the command’s own', async () => {
    expect(await run(async () => 3)).toEqual({ code: 3, text: '' })
  })

  test('2 with the usage for what was not understood', async () => {
    expect(await failing(new UsageError('Name it.'))).toEqual({ code: 2, text: 'Name it.\n\nUsage: …\n' })
    const unknown = Object.assign(new TypeError('Unknown option'), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' })
    expect(await failing(unknown)).toMatchObject({ code: 2 })
  })

  test('1 with what to do for failures, and no URL of a node', async () => {
    const refused = new DrainError('no_way', 'No way.', { action: 'Go round.' })
    expect(await failing(refused)).toEqual({ code: 1, text: 'No way. Go round.\n' })
    const viems = Object.assign(new Error('HTTP request failed. URL: https://node/key'), {
      shortMessage: 'HTTP request failed.',
    })
    expect(await failing(viems)).toEqual({ code: 1, text: 'HTTP request failed.\n' })
  })

  test('0 when the reader has seen enough', async () => {
    expect(await failing(Object.assign(new Error('EPIPE'), { code: 'EPIPE' }))).toEqual({ code: 0, text: '' })
  })
})

test('tables have columns, numbers to the right', () => {
  const rows = [
    ['a', '1.5', 'x'],
    ['longer', '10', ''],
  ]
  expect(tableOf(['name', 'usdc', 'note'], rows)).toBe('name    usdc  note\na        1.5  x\nlonger    10\n')
})
