/** How the command line is understood; examples/agent/src/commandLine.test.ts runs the commands as processes, on a chain. */
import { Writable } from 'node:stream'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { main } from './main.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

async function drain(args: string[]) {
  const written = { stdout: '', stderr: '' }
  const to = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk, _encoding, done) {
        written[name] += chunk
        done()
      },
    })
  const code = await main(args, { stdout: to('stdout'), stderr: to('stderr') })
  return { code, ...written }
}

test.each([
  [[], 2],
  [['--help'], 0],
  [['fetch', '--help'], 0],
  [['constructor'], 2],
  [['fetch'], 2],
  [['fetch', 'file:///etc/passwd'], 2],
  [['fetch', 'https://a.example', 'https://b.example'], 2],
  [['fetch', 'https://a.example', '--max', 'much'], 2],
  [['fetch', 'https://a.example', '--max', '0.06'], 2],
  [['chat', 'https://a.example'], 2],
  [['channels', '--jsn'], 2],
  [['wallet', '--private-key', 'x'], 2],
  [['close'], 2],
  [['close', '--all', 'https://a.example'], 2],
  [['recover', '--from-block', 'x'], 2],
  [['recover', 'a.example'], 2],
  [['key', 'new'], 2],
  [['key', 'old', 'file'], 2],
])('%j: the usage, and exit code %d', async (args, code) => {
  const ran = await drain(args)
  expect(ran.code).toBe(code)
  expect(code === 0 ? ran.stdout : ran.stderr + ran.stdout).toContain('Usage:')
})

describe('settings', () => {
  const key = `0x${'07'.repeat(32)}`

  test.each([
    ['DRAIN_CHAIN_ID', 'polygon'],
    ['DRAIN_RPC_URL', 'node'],
    ['DRAIN_CONTRACT_ADDRESS', '0x12'],
    ['DRAIN_USDC_ADDRESS', key],
    ['DRAIN_MAX_PER_REQUEST', 'much'],
    ['DRAIN_MAX_PER_CHANNEL', '0'],
    ['DRAIN_MAX_PER_DAY', '-1'],
  ])('%s is not %j: an error that names it, not its value', async (name, value) => {
    vi.stubEnv('DRAIN_PRIVATE_KEY', key)
    vi.stubEnv(name, value)
    const { code, stdout, stderr } = await drain(['channels'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(name)
    expect(stderr).not.toContain(key)
  })

  test('an unknown chain needs a contract', async () => {
    vi.stubEnv('DRAIN_PRIVATE_KEY', key)
    vi.stubEnv('DRAIN_CHAIN_ID', '5')
    expect(await drain(['wallet'])).toMatchObject({ code: 1 })
  })

  test('without a key it says where one is looked for', async () => {
    for (const name of ['DRAIN_PRIVATE_KEY', 'DRAIN_KEYSTORE']) vi.stubEnv(name, '')
    const { code, stderr } = await drain(['wallet'])
    expect(code).toBe(1)
    expect(stderr).toContain('Set DRAIN_KEYSTORE')
  })
})
