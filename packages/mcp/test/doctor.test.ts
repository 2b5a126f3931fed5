/** What `doctor` finds: on a real chain, with a directory served here. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { approveUsdc, createDrainClient, openChannel } from '@drain/consumer'
import { fileStore, openStore } from '@drain/consumer/node'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { Keystore, runCommand } from '@drain/keys/node'
import type { Hex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Check } from '../src/cli/doctor/Report.ts'
import { doctor, type Place } from '../src/cli/doctor.ts'
import { init } from '../src/cli/init.ts'
import { main } from '../src/cli/main.ts'
import { collect } from './collect.ts'

type Env = Record<string, string | undefined>

let chain: LocalChain
let directory: Served
let home: string

type Served = { url: string; answer: (body: unknown, status?: number) => void; close(): Promise<void> }

/** A server with one answer to everything. */
async function serve(): Promise<Served> {
  let [body, status]: [unknown, number] = [{}, 200]
  const server = createServer((_, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer(wanted, code = 200) {
      ;[body, status] = [wanted, code]
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const listed = (chainId = 31337, online = true) => ({
  id: `a-${chainId}`,
  name: 'A',
  apiUrl: 'https://a.example',
  chainId,
  protocol: 'drain',
  status: { online },
  models: [],
})

beforeAll(async () => {
  chain = await startLocalChain()
  directory = await serve()
})

afterAll(async () => {
  await directory?.close()
  await chain?.close()
})

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'drain-doctor-'))
  directory.answer({ providers: [listed()] })
})

afterEach(() => {
  rmSync(home, { recursive: true })
})

/** A wallet with money, and everything else in its place. */
async function wallet({ usdc = '10', gas = 10n ** 18n } = {}): Promise<{ key: Hex; address: Hex; env: Env }> {
  const key = generatePrivateKey()
  const { address } = privateKeyToAccount(key)
  await chain.testClient.setBalance({ address, value: gas })
  if (usdc !== '0') await chain.fund(address, usdc)
  return { key, address, env: { DRAIN_PRIVATE_KEY: key, ...placeEnv() } }
}

function placeEnv(): Record<string, string> {
  return {
    DRAIN_CHAIN_ID: String(chain.chainId),
    DRAIN_RPC_URL: `${chain.rpcUrl}/?key=secret`,
    DRAIN_CONTRACT_ADDRESS: chain.deployment.contract,
    DRAIN_USDC_ADDRESS: chain.deployment.token,
    DRAIN_DIRECTORY_URL: directory.url,
    DRAIN_STATE_DIR: join(home, 'state'),
  }
}

async function text(env: Env, options: { client?: string; json?: boolean } & Partial<Place> = {}) {
  const { client, json = false, ...own } = options
  const { written, streams } = collect()
  const place: Place = { home, platform: 'linux', node: '24.0.0', now: Date.now(), ...own }
  const code = await runCommand('Usage: …\n', streams, () => doctor({ client, json }, env, streams, place))
  // Of whatever goes wrong, no secret is told.
  expect(written.stdout + written.stderr).not.toContain('secret')
  if (env.DRAIN_PRIVATE_KEY)
    expect(written.stdout + written.stderr).not.toContain(env.DRAIN_PRIVATE_KEY.slice(2))
  return { code, ...written }
}

/** The checks by name. */
async function examine(env: Env, options: { client?: string } & Partial<Place> = {}) {
  const { code, stdout } = await text(env, { ...options, json: true })
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Check[] }
  expect(ok).toBe(code === 0)
  expect(ok).toBe(checks.every(({ status }) => status !== 'failed'))
  return {
    code,
    checks,
    by: Object.fromEntries(checks.map((check) => [check.name, check])) as Record<string, Check>,
  }
}

const failed = (checks: Check[]) => checks.filter(({ status }) => status === 'failed').map(({ name }) => name)

test('all is well: a line for each', async () => {
  const { env, address } = await wallet()
  const { code, stdout, stderr } = await text(env)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const host = new URL(chain.rpcUrl).host
  expect(stdout).toBe(
    [
      'ok       node       Node.js 24.0.0',
      `ok       settings   chain 31337, contract ${chain.deployment.contract}, directory ${directory.url}`,
      'ok       limits     0.05 USDC a request, 1 a channel, 2 a day; everybody may be paid',
      `ok       key        ${address}`,
      `ok       state      ${join(home, 'state')} is not there yet; the server makes it`,
      `ok       rpc        ${host}, chain 31337`,
      `ok       contract   ${chain.deployment.contract}, with USDC at ${chain.deployment.token}`,
      'ok       usdc       10 USDC',
      "ok       gas        1 of the chain's own coin",
      'ok       allowance  the contract may take 0 USDC now; each opening approves its own deposit',
      `ok       directory  ${directory.url} lists 1 provider, 1 online`,
      'ok       methods    evm (with USDC on chain 31337)',
      '',
    ].join('\n'),
  )
  // It looks, and leaves nothing behind.
  expect(readdirSync(home)).toEqual([])
})

test('JSON: what to do is beside what is', async () => {
  const { env, address } = await wallet({ usdc: '0', gas: 0n })
  const { code, by } = await examine(env)
  expect(code).toBe(0)
  expect(by.usdc).toEqual({
    name: 'usdc',
    status: 'warning',
    detail: '0 USDC: not enough for a new channel',
    next: `Send USDC on chain 31337 to ${address}.`,
  })
  expect(by.gas).toMatchObject({ status: 'warning', next: expect.stringContaining(address) })
})

describe('one that fails takes along only those that need it', () => {
  const others = ['node', 'settings', 'limits', 'state', 'rpc', 'contract', 'directory', 'methods']

  test('an old Node', async () => {
    const { env } = await wallet()
    const { code, checks } = await examine(env, { node: '20.11.0' })
    expect(code).toBe(1)
    expect(failed(checks)).toEqual(['node'])
    expect(checks).toHaveLength(12)
  })

  test('no key', async () => {
    const { checks, by } = await examine(placeEnv())
    expect(failed(checks)).toEqual(['key'])
    expect(checks.map(({ name }) => name)).toEqual([...others.slice(0, 3), 'key', ...others.slice(3)])
    expect(by.key?.next).toContain('drain-mcp init')
  })

  test('a key that is none, and two', async () => {
    const { env } = await wallet()
    const bad = await examine({ ...env, DRAIN_PRIVATE_KEY: `${env.DRAIN_PRIVATE_KEY}00` })
    expect(failed(bad.checks)).toEqual(['key'])
    const two = await examine({ ...env, DRAIN_KEYSTORE: 'x.json' })
    expect(failed(two.checks)).toEqual(['key'])
  })

  test('a setting that is none: named, not quoted', async () => {
    const { env } = await wallet()
    const place = await examine({ ...env, DRAIN_RPC_URL: 'secret' })
    expect(failed(place.checks)).toEqual(['settings'])
    expect(place.by.settings?.detail).toContain('DRAIN_RPC_URL')
    expect(place.by.key?.status).toBe('ok')
    const limit = await examine({ ...env, DRAIN_MAX_PER_DAY: 'secret' })
    expect(failed(limit.checks)).toEqual(['limits'])
    expect(limit.by.usdc?.status).toBe('ok')
    const providers = await examine({ ...env, DRAIN_ALLOWED_PROVIDERS: 'secret' })
    expect(failed(providers.checks)).toEqual(['limits'])
  })

  test('a node that does not answer, answers no, or is of another chain', async () => {
    const { env } = await wallet()
    const closed = await serve()
    await closed.close()
    const silent = await examine({ ...env, DRAIN_RPC_URL: `${closed.url}/secret` })
    expect(failed(silent.checks)).toEqual(['rpc'])
    expect(silent.by.rpc?.detail).toBe(
      `The node at ${new URL(closed.url).host} can’t be reached (ECONNREFUSED).`,
    )
    expect(silent.by.directory?.status).toBe('ok')

    const refusing = await serve()
    refusing.answer({ error: 'secret' }, 401)
    const refused = await examine({ ...env, DRAIN_RPC_URL: `${refusing.url}/secret` })
    expect(refused.by.rpc?.detail).toContain('answers HTTP 401')
    refusing.answer({ jsonrpc: '2.0', id: 1, result: '0x89' })
    const other = await examine({ ...env, DRAIN_RPC_URL: `${refusing.url}/secret` })
    expect(other.by.rpc?.detail).toContain('is of chain 137, not 31337')
    await refusing.close()

    const socket = await examine({ ...env, DRAIN_RPC_URL: 'wss://node.example/secret' })
    expect(socket.by.rpc).toMatchObject({ status: 'failed', detail: expect.stringContaining('wss:') })
  })

  test('another contract, or another token', async () => {
    const { env, address } = await wallet()
    const nowhere = await examine({ ...env, DRAIN_CONTRACT_ADDRESS: address })
    expect(failed(nowhere.checks)).toEqual(['contract'])
    expect(nowhere.by.contract?.detail).toContain('There is no contract')
    expect(nowhere.by.usdc?.status).toBe('ok')
    const token = await examine({ ...env, DRAIN_USDC_ADDRESS: chain.deployment.contract })
    expect(token.by.contract?.detail).toContain(`holds the token ${chain.deployment.token}`)
    const noChannels = await examine({ ...env, DRAIN_CONTRACT_ADDRESS: chain.deployment.token })
    expect(noChannels.by.contract).toMatchObject({ status: 'warning' })
  })

  test('a directory that is gone, empty, elsewhere, or none', async () => {
    const { env } = await wallet()
    directory.answer('secret', 500)
    const gone = await examine(env)
    expect(failed(gone.checks)).toEqual(['directory'])
    expect(gone.by.methods?.status).toBe('ok')
    directory.answer({ nothing: 'secret' })
    expect((await examine(env)).by.directory?.status).toBe('failed')
    directory.answer({ providers: [] })
    expect((await examine(env)).by.directory).toMatchObject({ status: 'warning' })
    directory.answer({ providers: [listed(137), listed(31337, false)] })
    const elsewhere = await examine(env)
    expect(elsewhere.by.directory).toMatchObject({
      status: 'warning',
      detail: `${directory.url} lists 2 providers, 1 online, none of them on chain 31337`,
    })
  })
})

describe('keys in files', () => {
  test('the file’s password can’t be asked for; files that others can read are told', async () => {
    const { env, key, address } = await wallet()
    const { DRAIN_PRIVATE_KEY: _, ...rest } = env
    const [keystore, password] = [join(home, 'key.json'), join(home, 'password')]
    writeFileSync(keystore, Keystore.encrypt(key, 'secret'), { mode: 0o600 })
    writeFileSync(password, 'secret', { mode: 0o644 })
    const bare = await examine({ ...rest, DRAIN_KEYSTORE: keystore })
    expect(bare.by.key).toMatchObject({
      status: 'failed',
      next: expect.stringContaining('DRAIN_KEYSTORE_PASSWORD_FILE'),
    })
    const whole = { ...rest, DRAIN_KEYSTORE: keystore, DRAIN_KEYSTORE_PASSWORD_FILE: password }
    const open = await examine(whole)
    expect(open.by.key).toMatchObject({ status: 'warning', next: `chmod 600 ${password}` })
    chmodSync(password, 0o600)
    expect((await examine(whole)).by.key).toEqual({ name: 'key', status: 'ok', detail: address })
  })
})

describe('the state folder', () => {
  test('a file in its place', async () => {
    const { env } = await wallet()
    writeFileSync(join(home, 'state'), '')
    const { checks, by } = await examine(env)
    expect(failed(checks)).toEqual(['state'])
    expect(by.channels).toBeUndefined()
  })

  test('a damaged store is left as it is', async () => {
    const { env } = await wallet()
    mkdirSync(join(home, 'state'))
    writeFileSync(join(home, 'state', 'channels.db'), 'no database, but long enough to look at: '.repeat(100))
    const { checks } = await examine(env)
    expect(failed(checks)).toEqual(['state'])
  })

  test('in use by the server', async () => {
    const { env } = await wallet()
    mkdirSync(join(home, 'state'))
    const store = fileStore(join(home, 'state', 'channels.log'))
    const { code, by } = await examine(env)
    expect(code).toBe(0)
    expect(by.state).toMatchObject({ status: 'warning' })
    await store.close()
  })

  test('what is locked in channels, and what has expired', async () => {
    const { env, key } = await wallet()
    const account = privateKeyToAccount(key)
    const { deployment, rpcUrl } = chain
    const sender = chain.walletClient(account)
    await approveUsdc(sender, { deployment, amount: 2_000_000n })
    const provider = chain.accounts[1].address
    for (const duration of [3_600n, 7_200n])
      await openChannel(sender, { deployment, provider, amount: 1_000_000n, duration })
    const store = await openStore(join(home, 'state'))
    const client = createDrainClient({
      account,
      deployment,
      rpcUrl,
      store,
      limits: { perRequest: '0.05', perChannel: '1' },
    })
    const [first] = (await client.recover({ fromBlock: 0n })).sort((one, other) =>
      Number(one.expiry - other.expiry),
    )
    await client.stop()

    const now = await examine(env)
    expect(now.by.state).toMatchObject({ status: 'ok', detail: join(home, 'state') })
    expect(now.by.channels).toMatchObject({ status: 'ok', detail: '2 not closed, with 2 USDC deposited' })
    const later = await examine(env, { now: Number(first?.expiry) * 1_000 })
    expect(later.code).toBe(0)
    expect(later.by.channels).toMatchObject({
      status: 'warning',
      detail: '2 not closed, with 2 USDC deposited; of these 1 expired, with 1 USDC',
      next: expect.stringContaining(String(first?.channelId)),
    })
  })
})

test('tempo is a way to pay', async () => {
  const { env } = await wallet()
  const { by } = await examine({ ...env, DRAIN_MPP_METHODS: 'tempo,evm' })
  expect(by.methods).toMatchObject({ status: 'ok', detail: expect.stringContaining('tempo') })
})

test('limits that contradict each other', async () => {
  const { env } = await wallet()
  const { by } = await examine({ ...env, DRAIN_MAX_PER_REQUEST: '3' })
  expect(by.limits).toMatchObject({ status: 'warning' })
})

describe('of a client', () => {
  test('with what its configuration has, and nothing of this environment', async () => {
    const { streams } = collect()
    const place = { home, platform: 'linux' } as const
    await init({ client: 'cursor', key: 'new', print: false }, placeEnv(), streams, place)
    const { code, by } = await examine(
      { DRAIN_PRIVATE_KEY: generatePrivateKey(), DRAIN_MAX_PER_DAY: 'much' },
      { client: 'cursor' },
    )
    expect(code).toBe(0)
    expect(by.entry).toEqual({ name: 'entry', status: 'ok', detail: join(home, '.cursor', 'mcp.json') })
    expect(by.key).toMatchObject({ status: 'ok', detail: expect.stringMatching(/^0x/) })
    expect(by.usdc?.status).toBe('warning')
  })

  test('one that has no entry', async () => {
    const { code, by } = await examine({}, { client: 'claude' })
    expect(code).toBe(1)
    expect(by.entry).toMatchObject({ status: 'failed', next: expect.stringContaining('init claude') })
  })

  test('one that has no file is a question', async () => {
    expect(await text({}, { client: 'generic' })).toMatchObject({ code: 2 })
  })
})

test('is a command', async () => {
  const { env } = await wallet()
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const { written, streams } = collect()
  expect(await main(['doctor', '--json'], streams)).toBe(0)
  vi.unstubAllEnvs()
  expect(JSON.parse(written.stdout).ok).toBe(true)
})
