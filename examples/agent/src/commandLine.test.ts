/** The command line `drain` as a process, against the reference provider on a private chain. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getUsdcBalance } from '@drain/consumer'
import { Usdc } from '@drain-protocol/sdk'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Shop, startShop } from './shop.fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'drain-cli-'))
const key = generatePrivateKey()
const account = privateKeyToAccount(key)

let shop: Shop
let chat: string
beforeAll(async () => {
  shop = await startShop()
  chat = `${shop.url}/v1/chat/completions`
  await shop.chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  await shop.chain.fund(account.address, '5')
})
afterAll(async () => {
  await shop?.close()
  rmSync(folder, { recursive: true })
})

const path = (path: string) => new URL(`../../../packages/${path}`, import.meta.url).href
/** It runs the sources, as the tests do. */
const sources = `
  import { registerHooks } from 'node:module'
  const sources = ${JSON.stringify({
    '@drain/core': path('core/src/index.ts'),
    '@drain/keys': path('keys/src/index.ts'),
    '@drain/keys/node': path('keys/src/node/index.ts'),
  })}
  registerHooks({ resolve: (name, context, next) => next(sources[name] ?? name, context) })`
const loader = `data:text/javascript,${encodeURIComponent(sources)}`

type Ran = { code: number | null; stdout: string; stderr: string }

async function drain(
  args: string[],
  changes: Record<string, string | undefined> = {},
  input = '',
): Promise<Ran> {
  const { contract, token } = shop.chain.deployment
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    DRAIN_PRIVATE_KEY: key,
    DRAIN_CHAIN_ID: String(shop.chain.chainId),
    DRAIN_RPC_URL: shop.chain.rpcUrl,
    DRAIN_CONTRACT_ADDRESS: contract,
    DRAIN_USDC_ADDRESS: token,
    ...changes,
  }
  const file = fileURLToPath(path('consumer/src/cli/index.ts'))
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--import', loader, file, ...args],
    {
      env,
    },
  )
  child.stdin.end(input)
  const ran: Ran = { code: null, stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      ran[name] += text
    })
  ran.code = await new Promise((resolve) => child.once('close', resolve))
  for (const text of [ran.stdout, ran.stderr]) expect(text).not.toContain(key.slice(2))
  return ran
}

const usdc = async () =>
  getUsdcBalance(shop.chain.publicClient, { deployment: shop.chain.deployment, account: account.address })

const question = (text: string, model = 'drain-local') =>
  JSON.stringify({ model, max_tokens: 16, messages: [{ role: 'user', content: text }] })

describe('keys', () => {
  test('are made in an encrypted file for the owner alone, which the wallet then opens', async () => {
    const [file, passwordFile] = [join(folder, 'key.json'), join(folder, 'password')]
    writeFileSync(passwordFile, 'correct horse\n')
    const password = { DRAIN_KEYSTORE_PASSWORD_FILE: passwordFile }
    const made = await drain(['key', 'new', file], password)
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^0x[0-9a-fA-F]{40}\n$/) })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const opened = await drain(['wallet', '--json'], {
      ...password,
      DRAIN_PRIVATE_KEY: undefined,
      DRAIN_KEYSTORE: file,
    })
    expect(JSON.parse(opened.stdout)).toMatchObject({ address: made.stdout.trim(), usdc: '0', gas: '0' })

    const before = readFileSync(file, 'utf8')
    expect(await drain(['key', 'new', file], password)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('exists already'),
    })
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  test('are asked for in words, and never taken as an argument', async () => {
    const missing = await drain(['wallet'], { DRAIN_PRIVATE_KEY: undefined })
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('Set DRAIN_KEYSTORE') })
    expect(await drain(['wallet', '--private-key', 'x'])).toMatchObject({ code: 2 })
  })
})

test('the wallet, as text and as JSON', async () => {
  const { code, stdout } = await drain(['wallet'])
  expect(code).toBe(0)
  expect(stdout).toContain(account.address)
  expect(stdout).toMatch(/^usdc +5$/m)
  const report = JSON.parse((await drain(['wallet', '--json'])).stdout)
  expect(report).toMatchObject({
    address: account.address,
    chainId: 31337,
    usdc: '5',
    gas: '1',
    allowance: '0',
  })
})

describe('paying', () => {
  const state = { DRAIN_STATE_DIR: join(folder, 'state') }
  const channels = async () => JSON.parse((await drain(['channels', '--json'], state)).stdout)

  test('what is over a limit, or for a stranger, is refused before anything is locked', async () => {
    const args = ['fetch', chat, '-d', question('hello')]
    const refusals: [string[], Record<string, string>, string][] = [
      [[...args, '--max', '0.000001'], {}, 'DRAIN_MAX_PER_REQUEST'],
      [args, { DRAIN_MAX_PER_REQUEST: '0.000001' }, 'DRAIN_MAX_PER_REQUEST'],
      [args, { DRAIN_ALLOWED_PROVIDERS: 'https://api.example' }, 'DRAIN_ALLOWED_PROVIDERS'],
    ]
    for (const [args, env, variable] of refusals) {
      const { code, stdout, stderr } = await drain(args, { ...state, ...env })
      expect({ code, stdout }, stderr).toEqual({ code: 3, stdout: '' })
      expect(stderr).toContain(variable)
    }
    expect(await drain([...args, '--max', '1'], state)).toMatchObject({ code: 2 })
    expect(await usdc()).toBe(Usdc.parse('5'))
    expect((await channels()).channels).toEqual([])
  })

  test('a request: the body on stdout, its cost on stderr, on one channel for all', async () => {
    const first = await drain(['fetch', chat, '-d', question('hello')], state)
    expect(first.code, first.stderr).toBe(0)
    expect(JSON.parse(first.stdout)).toMatchObject({ model: 'drain-local' })
    expect(first.stderr).toMatch(/^Opened channel 0x[0-9a-f]{64} with [\d.]+ USDC for http/)
    expect(first.stderr).toMatch(/\n200, 0\.\d+ USDC\n$/)

    const second = await drain(['fetch', chat, '-d', '@-', '--json'], state, question('again'))
    const { status, cost, currency } = JSON.parse(second.stderr)
    expect({ status, currency }).toEqual({ status: 200, currency: 'USDC' })
    const firstCost = /, (0\.\d+) USDC/.exec(first.stderr)?.[1] ?? ''
    const report = await channels()
    expect(report.channels).toHaveLength(1)
    expect(report.channels[0]).toMatchObject({ origin: new URL(shop.url).origin, state: 'open' })
    expect(Usdc.parse(report.spending.charged)).toBe(Usdc.parse(firstCost) + Usdc.parse(cost))
    expect(existsSync(join(state.DRAIN_STATE_DIR, 'channels.db'))).toBe(true)
  })

  test('a free request, with a header and a method', async () => {
    const models = await drain(
      ['fetch', `${shop.url}/v1/models`, '-X', 'GET', '-H', 'Accept: application/json'],
      state,
    )
    expect(models).toMatchObject({ code: 0, stderr: '200, 0 USDC\n' })
    expect(JSON.parse(models.stdout).data[0].id).toBe('drain-local')
    expect(await drain(['fetch', `${shop.url}/nowhere`], state)).toMatchObject({ code: 4 })
  })

  test('two at once', async () => {
    const before = Usdc.parse((await channels()).spending.charged)
    const both = await Promise.all(
      ['one', 'two'].map((text) => drain(['fetch', chat, '--json', '-d', question(text)], state)),
    )
    expect(both.map(({ code, stderr }) => [code, stderr])).toEqual(both.map(({ stderr }) => [0, stderr]))
    const costs = both.reduce((sum, { stderr }) => sum + Usdc.parse(JSON.parse(stderr).cost), 0n)
    const report = await channels()
    expect(Usdc.parse(report.spending.charged)).toBe(before + costs)
    expect(report.channels).toHaveLength(1)
  })

  test('a chat streams its answer', async () => {
    const { code, stdout, stderr } = await drain(['chat', shop.url, 'Say something.'], state)
    expect(code, stderr).toBe(0)
    expect(stdout.length).toBeGreaterThan(10)
    expect(stderr).toMatch(/^drain-local, 0\.\d+ USDC\n$/)
    const unknown = await drain(['chat', '--model', 'nobody', shop.url, 'Hello'], state)
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('nobody') })
  })

  test('with the state lost, recover finds what is locked', async () => {
    const [known] = (await channels()).channels
    const fresh = { DRAIN_STATE_DIR: join(folder, 'fresh') }
    const { code, stdout, stderr } = await drain(['recover', shop.url, '--json'], fresh)
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject([{ channelId: known.channelId, deposit: known.deposit }])
  })

  test('closing pays what was charged and brings the rest back', async () => {
    expect(await drain(['close'], state)).toMatchObject({ code: 2 })
    const unknown = await drain(['close', 'https://api.example'], state)
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('no open channel') })
    const { charged } = (await channels()).spending
    const { code, stdout, stderr } = await drain(['close', '--all', '--json'], state)
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject([{ finalAmount: charged }])
    expect(await usdc()).toBe(Usdc.parse('5') - Usdc.parse(charged))
    const table = (await drain(['channels'], state)).stdout
    expect(table).toContain('closed')
    expect(table).toContain(`In all ${charged} USDC charged`)
    expect((await drain(['close', '--all'], state)).stdout).toBe('There was no channel to close.\n')
  })
})
