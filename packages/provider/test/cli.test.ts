import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Usdc } from '@drain/core'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { toHex } from 'viem'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseListenAddress } from '../src/cli/figuresServer.ts'
import { main } from '../src/cli/main.ts'
import { hasAlarm, raiseAlarm } from '../src/ledger/alarms.ts'
import { aChannel, aVoucher, identity } from '../src/ledger/fixtures.ts'
import type { Ledger } from '../src/ledger/Ledger.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { type SourceProcess, startSource } from './sourceProcess.ts'
import { postgresBin, startPostgres } from './startPostgres.ts'

const day = 24 * 60 * 60 * 1000
const cast = fileURLToPath(new URL('../../../node_modules/.bin/cast', import.meta.url))
const txHash = `0x${'7a'.repeat(32)}` as const

/** Runs a command in this process. */
async function drain(...args: string[]) {
  const output = { stdout: '', stderr: '' }
  const writing = (name: keyof typeof output) =>
    new Writable({
      write(chunk, _, done) {
        output[name] += chunk
        done()
      },
    })
  const code = await main(args, { stdout: writing('stdout'), stderr: writing('stderr') })
  return { code, ...output }
}

describe('drain-provider', () => {
  const folder = mkdtempSync(join(tmpdir(), 'drain-cli-'))
  const file = join(folder, 'drain.db')
  const [first, second] = [aChannel({ deposit: 5_000_000n }), aChannel({ deposit: 5_000_000n })]
  let clock = Date.parse('2026-01-30T12:00:00Z')
  let ledger: Ledger

  async function charge(channel: typeof first, nonce: bigint, cost: bigint): Promise<void> {
    const voucher = aVoucher(channel.deposit, nonce)
    const reserved = await ledger.reserve({ channel, voucher, quote: cost })
    if (!reserved.ok) throw new Error(reserved.code)
    await ledger.capture(reserved.reservationId, cost)
  }

  beforeAll(async () => {
    ledger = sqliteLedger(file, { now: () => clock, log: () => {} })(identity)
    await charge(first, 1n, 1_500_000n)
    await charge(first, 2n, 500_000n)
    await charge(second, 1n, 1n)
    clock += day
    await charge(second, 2n, 41n)
    clock += day
    await ledger.beginClaim(first.channelId, 2_000_000n)
    const receipt = { txHash, fee: 40_000n, gasCost: 2_000_000_000_000_000n }
    await ledger.endClaim({ ...first, claimed: 2_000_000n }, receipt)
    await charge(first, 3n, 7n)
  })

  afterAll(async () => {
    await ledger.close()
    rmSync(folder, { recursive: true })
  })

  const consumer = first.consumer
  const expected = [
    'day,channelId,consumer,requests,charged,claimed,fee,gasCost,transactions,kind',
    `2026-01-30,${first.channelId},${consumer},2,2,0,0,0,,`,
    `2026-01-30,${second.channelId},${consumer},1,0.000001,0,0,0,,`,
    `2026-01-31,${second.channelId},${consumer},1,0.000041,0,0,0,,`,
    `2026-02-01,${first.channelId},${consumer},1,0.000007,2,0.04,0.002,${txHash},`,
  ]

  test('exports charges, claims and fees by day and channel, while the provider has the ledger open', async () => {
    const { code, stdout, stderr } = await drain('export', '--ledger', file)
    expect(stdout.trimEnd().split('\n')).toEqual(expected)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '4 rows\n' })
  })

  test('exports a range of days, both included', async () => {
    const { stdout } = await drain('export', '--ledger', file, '--from', '2026-01-31', '--to', '2026-01-31')
    expect(stdout.trimEnd().split('\n')).toEqual([expected[0], expected[3]])
  })

  test('exports JSON, into a new file only', async () => {
    const out = join(folder, 'accounts.json')
    expect((await drain('export', '--ledger', file, '--format', 'json', '--out', out)).code).toBe(0)
    const rows = JSON.parse(readFileSync(out, 'utf8'))
    expect(rows).toHaveLength(4)
    expect(rows[3]).toMatchObject({ day: '2026-02-01', claimed: '2', transactions: [txHash] })
    const again = await drain('export', '--ledger', file, '--format', 'json', '--out', out)
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('EEXIST') })
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual(rows)
  })

  test('changes nothing: not the ledger, not a copy that a provider would freeze, not a missing file', async () => {
    const before = await ledger.get(first.channelId)
    const copy = join(folder, 'copy.db')
    expect((await drain('backup', '--ledger', file, '--out', copy)).code).toBe(0)
    const bytes = readFileSync(copy)
    expect((await drain('export', '--ledger', copy)).stdout.trimEnd().split('\n')).toEqual(expected)
    expect(readFileSync(copy)).toEqual(bytes)
    expect(await ledger.get(first.channelId)).toEqual(before)

    const missing = join(folder, 'missing.db')
    const { code, stderr } = await drain('export', '--ledger', missing)
    expect(code).toBe(1)
    expect(stderr).toContain('missing.db')
    expect(existsSync(missing)).toBe(false)
  })

  test('a provider that starts from a backup finds its channels frozen', async () => {
    const copy = join(folder, 'frozen.db')
    await drain('backup', '--ledger', file, '--out', copy)
    const restored = sqliteLedger(copy, { now: () => clock, log: () => {} })(identity)
    expect((await restored.get(first.channelId))?.status).toBe('closing')
    await restored.close()
  })

  test('refuses a file that is no ledger', async () => {
    const other = join(folder, 'other.db')
    writeFileSync(other, 'not a database, but long enough to be taken for one'.repeat(100))
    const { code, stderr } = await drain('export', '--ledger', other)
    expect(code).toBe(1)
    expect(stderr).toContain('other.db')
  })

  test.skipIf(!postgresBin)('exports from PostgreSQL', async () => {
    const server = await startPostgres()
    try {
      const stored = postgresLedger(server.connection, { schema: 'books', log: () => {} })(identity)
      const reserved = await stored.reserve({ channel: first, voucher: aVoucher(100n, 1n), quote: 60n })
      if (!reserved.ok) throw new Error(reserved.code)
      await stored.capture(reserved.reservationId, 42n)
      const { user, host, database } = server.connection
      const url = `postgresql://${user}@localhost/${database}?host=${encodeURIComponent(host)}`
      const { stdout, stderr } = await drain('export', '--ledger', url, '--schema', 'books')
      expect(stderr).toBe('1 rows\n')
      const today = new Date().toISOString().slice(0, 10)
      expect(stdout).toContain(`\n${today},${first.channelId},${consumer},1,0.000042,0,0,0,,\n`)
      const status = await drain('status', '--ledger', url, '--schema', 'books')
      expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining('earned     0.000042 USDC') })
      await stored.recordClaimed({ ...first, claimed: 50n })
      const alarmed = await drain('status', '--ledger', url, '--schema', 'books')
      expect(alarmed).toMatchObject({ code: 3, stdout: expect.stringContaining('overclaimed') })
      const cleared = await drain('clear-alarm', '--ledger', url, '--schema', 'books', '--all')
      expect(cleared).toMatchObject({ code: 0, stderr: '1 alarm was cleared\n' })
      expect(cleared.stdout).toContain(`overclaimed ${first.channelId}: 0.000050 USDC`)
      expect(await drain('status', '--ledger', url, '--schema', 'books')).toMatchObject({ code: 0 })
      const nowhere = await drain('export', '--ledger', url, '--schema', 'nobody')
      expect(nowhere).toMatchObject({ code: 1, stdout: '' })
      await stored.close()
    } finally {
      await server.close()
    }
  })

  test.each([
    [['explode'], 'The commands are'],
    [['export'], 'Name the ledger'],
    [['export', '--ledger', file, '--from', '2026-02-30'], 'is not a day'],
    [['export', '--ledger', file, '--format', 'xml'], 'csv or json'],
    [['export', 'twice', '--ledger', file], 'no place for'],
    [['backup', '--ledger', file], 'Name the copy'],
    [['export', '--nonsense'], 'nonsense'],
    [['backup', '--ledger', file, '--once'], 'once'],
    [['settle'], 'Name the ledger'],
    [['settle', '--ledger', file, '--chain', 'polygon'], 'is not the id of a chain'],
    [['settle', '--ledger', file, '--provider', '0x12'], '--provider is no address'],
    [['settle', '--ledger', file, '--max-gas-price', '0'], 'a number of gwei'],
    [['settle', '--ledger', file, '--max-gas-price', '1e3'], 'a number of gwei'],
    [['settle', '--ledger', file, '--finality', '-1'], 'argument'],
    [['settle', '--ledger', file, '--finality', '1.5'], 'a number of blocks'],
    [['settle', '--ledger', file, '--http', 'http://localhost'], 'port or host:port'],
    [['settle', '--ledger', file, '--http', '65536'], 'port or host:port'],
    [['settle', '--ledger', file, '--http', '9464', '--once'], 'leave --once out'],
    [['status', '--json'], 'Name the ledger'],
    [['clear-alarm', '--all'], 'Name the ledger'],
    [['clear-alarm', '--ledger', file], 'Name what to clear'],
    [['clear-alarm', '--ledger', file, '--channel', `0x${'1'.repeat(64)}`, '--all'], 'Name what to clear'],
    [['clear-alarm', '--ledger', file, '--channel', '0x12'], 'no id of a channel'],
  ])('explains what is wrong with %j', async (args, message) => {
    const { code, stdout, stderr } = await drain(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).toContain('Usage:')
  })
})

describe('drain-provider settle', () => {
  let fixture: Fixture
  let key: string
  const running: SourceProcess[] = []

  beforeAll(async () => {
    fixture = await startFixture()
    key = toHex(fixture.chain.accounts[1].getHdKey().privateKey as Uint8Array)
  })
  afterEach(() => {
    vi.unstubAllEnvs()
  })
  afterAll(async () => {
    for (const { child } of running) child.kill('SIGKILL')
    await fixture.close()
  })

  let count = 0
  /** A ledger of a provider that doesn't settle, and a way to charge on it. */
  function books() {
    const file = join(fixture.folder, `settle-${count++}.db`)
    const paywall = fixture.paywall({ ledger: sqliteLedger(file, { log: () => {} }) })
    async function charge(channel: OpenChannel, amount: string): Promise<void> {
      const cost = Usdc.parse(amount)
      const state = await paywall.ledger.get(channel.id)
      const headers = await channel.voucher((state?.authorized ?? 0n) + cost)
      const request = new Request('http://provider/', { method: 'POST', headers })
      const response = await paywall.handle(request, cost, () => new Response('served'))
      expect(response.status).toBe(200)
    }
    return { file, paywall, charge }
  }

  function settle(args: string[], env: Record<string, string | undefined> = {}): SourceProcess {
    const started = startSource('cli/index.ts', ['settle', ...args], {
      DRAIN_RPC_URL: fixture.chain.rpcUrl,
      DRAIN_PRIVATE_KEY: key,
      ...env,
    })
    running.push(started)
    return started
  }

  test('--once claims what has reached the threshold, and only that', async () => {
    const { file, charge } = books()
    const [rich, poor] = [await fixture.open({ amount: '20' }), await fixture.open({ amount: '20' })]
    await charge(rich, '12')
    await charge(poor, '3')
    const before = await fixture.balance(fixture.provider.address)
    const first = settle(['--ledger', file, '--chain', String(fixture.chain.chainId), '--once'])
    expect(await first.ended, first.output.stderr).toBe(0)
    expect(first.output.stdout).toBe('')
    expect((await fixture.balance(fixture.provider.address)) - before).toBe(Usdc.parse('12'))
    const lower = settle(['--ledger', file, '--once', '--threshold', '2'])
    expect(await lower.ended, lower.output.stderr).toBe(0)
    expect((await fixture.balance(fixture.provider.address)) - before).toBe(Usdc.parse('15'))
    for (const { output } of [first, lower]) expect(output.stderr).not.toContain(key.slice(2))

    const { stdout } = await drain('status', '--ledger', file, '--json', '--rpc', fixture.chain.rpcUrl)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ earned: '15', claimed: '15', unclaimed: '0', needsAttention: false })
    expect(Number(report.gasSpent)).toBeGreaterThan(0)
    expect(Number(report.gasBalance)).toBeGreaterThan(0)
    expect(report.cursor).toMatchObject({ block: expect.stringMatching(/^\d+$/), behind: expect.any(String) })
  })

  test.skipIf(!postgresBin)('claims from a ledger in PostgreSQL', async () => {
    const server = await startPostgres()
    const paywall = fixture.paywall({
      ledger: postgresLedger(server.connection, { schema: 'books', log: () => {} }),
    })
    try {
      const channel = await fixture.open({ amount: '20' })
      const cost = Usdc.parse('11')
      const request = new Request('http://provider/', { headers: await channel.voucher(cost) })
      expect((await paywall.handle(request, cost, () => new Response('served'))).status).toBe(200)
      const { user, host, database } = server.connection
      const url = `postgresql://${user}@localhost/${database}?host=${encodeURIComponent(host)}`
      const { ended, output } = settle(['--ledger', url, '--schema', 'books', '--once'])
      expect(await ended, output.stderr).toBe(0)
      expect((await paywall.ledger.get(channel.id))?.claimed).toBe(cost)
    } finally {
      await paywall.close()
      await server.close()
    }
  })

  test('works until it is stopped, with nodes that are exchanged meanwhile', async () => {
    const { file, paywall, charge } = books()
    const channel = await fixture.open({ amount: '20' })
    const nodes = join(fixture.folder, 'rpc-urls')
    writeFileSync(nodes, 'http://127.0.0.1:9/v2/secret-api-key')
    const usdc = fixture.chain.deployment.token
    const worker = settle(['--ledger', file, '--usdc', usdc, '--interval', '1s'], {
      DRAIN_RPC_URL: undefined,
      DRAIN_RPC_URL_FILE: nodes,
    })
    await expect.poll(() => worker.output.stderr).toContain('settling')
    await charge(channel, '11')
    writeFileSync(nodes, `http://127.0.0.1:9/v2/secret-api-key,\n${fixture.chain.rpcUrl}\n`)
    await expect.poll(async () => (await paywall.ledger.get(channel.id))?.claimed).toBe(Usdc.parse('11'))
    worker.child.kill('SIGTERM')
    expect(await worker.ended, worker.output.stderr).toBe(0)
    for (const line of worker.output.stderr.trim().split('\n')) expect(() => JSON.parse(line)).not.toThrow()
    expect(worker.output.stderr).toContain('the nodes were exchanged: 2 now')
    expect(worker.output.stderr).not.toContain('secret-api-key')
    expect(worker.output.stderr).not.toContain(key.slice(2))
  })

  /** Where a worker serves its health. */
  async function served({ output }: SourceProcess): Promise<{ host: string; port: number }> {
    const line = () =>
      output.stderr.split('\n').find((one) => one.includes('serving /health') && one.endsWith('}'))
    await expect.poll(line).toBeDefined()
    return JSON.parse(line() ?? '')
  }

  test('is not well as long as there are alarms that nobody has cleared', async () => {
    const { file, paywall } = books()
    await raiseAlarm(paywall.ledger.notebook, { code: 'closed_owing', message: 'test', at: 1 })
    const health = async (address: string) => {
      const worker = settle(['--ledger', file, '--http', address])
      const { host, port } = await served(worker)
      const { status, reasons } = await (await fetch(`http://${host}:${port}/health`)).json()
      const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text()
      worker.child.kill('SIGTERM')
      expect(await worker.ended, worker.output.stderr).toBe(0)
      return {
        status,
        reasons,
        count: /^drain_settlement_alarms{code="closed_owing"} (\d)$/m.exec(metrics)?.[1],
      }
    }
    expect(await health('0')).toEqual({ status: 'degraded', reasons: ['alarms'], count: '1' })
    expect((await drain('clear-alarm', '--ledger', file, '--all')).code).toBe(0)
    expect(await health('localhost:0')).toEqual({ status: 'ok', reasons: undefined, count: '0' })
  })

  test.each([
    ['9464', '127.0.0.1', 9464],
    ['0.0.0.0:9464', '0.0.0.0', 9464],
    ['[::1]:0', '::1', 0],
    ['worker-1.internal:80', 'worker-1.internal', 80],
  ])('--http %s', (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ host, port })
  })

  test('serves its health and what it counts', async () => {
    const { file, paywall, charge } = books()
    const channel = await fixture.open({ amount: '20' })
    await charge(channel, '11')
    const options = ['--native-price', '0.5', '--max-gas-price', '300.5', '--finality', '2']
    const worker = settle(['--ledger', file, '--http', '0', '--interval', '1s', ...options])
    const { host, port } = await served(worker)
    expect(host).toBe('127.0.0.1')
    const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init)
    const metrics = async () => (await get('/metrics')).text()

    await expect.poll(metrics).toContain('drain_transactions_unsettled 1') // mined, and not final yet
    const balance = /^drain_gas_balance_wei (\S+)$/m.exec(await metrics())?.[1]
    expect(Number(balance)).toBeGreaterThan(1e18)
    expect(await metrics()).toContain('drain_claims_total{outcome="failed"} 0')
    await fixture.chain.testClient.mine({ blocks: 2 })
    await expect.poll(async () => (await paywall.ledger.get(channel.id))?.claimed).toBe(Usdc.parse('11'))
    const { chainId } = fixture.chain
    const health = await get('/health')
    expect([health.status, await health.json()]).toEqual([
      200,
      { status: 'ok', provider: fixture.provider.address, chainId },
    ])
    expect((await get('/metrics')).headers.get('content-type')).toContain('text/plain')
    expect((await get('/v1/admin/stats')).status).toBe(404)
    expect((await get('/health', { method: 'POST' })).status).toBe(405)

    const second = settle(['--ledger', file, '--http', `127.0.0.1:${port}`])
    expect(await second.ended).toBe(1)
    expect(second.output.stderr).toContain('EADDRINUSE')
    worker.child.kill('SIGTERM')
    expect(await worker.ended, worker.output.stderr).toBe(0)
  })

  test('pays no more for gas than it was told to', async () => {
    const { file, charge } = books()
    const channel = await fixture.open({ amount: '20' })
    await charge(channel, '11')
    const worker = settle(['--ledger', file, '--once', '--max-gas-price', '0.000000001'])
    expect(await worker.ended, worker.output.stderr).toBe(3)
    expect(await fixture.claimed(channel.id)).toBe(0n)
    // A coin that costs a fortune makes every claim dust: ten times its gas is not owed.
    const dear = ['--native-price', '100000000']
    const careful = settle(['--ledger', file, '--once', ...dear])
    expect(await careful.ended, careful.output.stderr).toBe(0)
    expect(await fixture.claimed(channel.id)).toBe(0n)
    const status = async (...args: string[]) =>
      JSON.parse(
        (await drain('status', '--ledger', file, '--json', '--rpc', fixture.chain.rpcUrl, ...args)).stdout,
      ).next
    expect([await status(), await status(...dear)]).toMatchObject([[{ reason: 'threshold' }], []])
  })

  test('takes its key from a keystore, whose password is in a file', async () => {
    const { file, charge } = books()
    const channel = await fixture.open({ amount: '20' })
    await charge(channel, '11')
    const [keystore, password] = [join(fixture.folder, 'keystore'), join(fixture.folder, 'password')]
    const options = [
      '--private-key',
      key,
      '--unsafe-password',
      'correct horse',
      '--keystore-dir',
      fixture.folder,
    ]
    execFileSync(cast, ['wallet', 'import', 'keystore', ...options])
    const started = async (text: string) => {
      writeFileSync(password, text)
      const stored = { DRAIN_KEYSTORE: keystore, DRAIN_KEYSTORE_PASSWORD_FILE: password }
      const worker = settle(['--ledger', file, '--once'], { DRAIN_PRIVATE_KEY: undefined, ...stored })
      const code = await worker.ended
      for (const secret of [key.slice(2), text.trim()]) expect(worker.output.stderr).not.toContain(secret)
      return { code, stderr: worker.output.stderr }
    }
    const refused = await started('wrong horse')
    expect(refused).toEqual({ code: 1, stderr: expect.stringContaining(keystore) })
    expect(await fixture.claimed(channel.id)).toBe(0n)
    const { code, stderr } = await started('correct horse\n')
    expect(code, stderr).toBe(0)
    expect(await fixture.claimed(channel.id)).toBe(Usdc.parse('11'))
  })

  test('refuses a key, a chain or a ledger that is another', async () => {
    const { file, paywall } = books()
    await paywall.ledger.ready()
    const strangerKey = toHex(fixture.chain.accounts[2].getHdKey().privateKey as Uint8Array)
    const missing = join(fixture.folder, 'missing.db')
    const cases: [string[], Record<string, string | undefined>, string][] = [
      [['--ledger', file], { DRAIN_PRIVATE_KEY: strangerKey }, `The key is of ${fixture.stranger.address}`],
      [['--ledger', file], { DRAIN_PRIVATE_KEY: undefined }, 'There is no private key'],
      [['--ledger', file, '--chain', '137'], {}, 'The ledger is of chain 31337, not of 137'],
      [['--ledger', file, '--provider', fixture.stranger.address], {}, 'The ledger is of provider'],
      [['--ledger', missing], {}, 'missing.db'],
      [['--ledger', file, '--rpc', 'localhost:8545'], {}, 'no http or https URL'],
      [['--ledger', file, '--interval', '10m'], {}, 'too slow for channels'],
    ]
    vi.stubEnv('DRAIN_RPC_URL', fixture.chain.rpcUrl)
    for (const [args, env, message] of cases) {
      for (const [name, value] of Object.entries({ DRAIN_PRIVATE_KEY: key, ...env })) vi.stubEnv(name, value)
      const { code, stderr } = await drain('settle', ...args, '--once')
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(message) })
      expect(stderr).not.toContain(strangerKey.slice(2))
    }
    expect(existsSync(missing)).toBe(false)
  })
})

describe('drain-provider status', () => {
  const folder = mkdtempSync(join(tmpdir(), 'drain-status-'))
  const file = join(folder, 'drain.db')
  const seconds = BigInt(Math.floor(Date.now() / 1000))
  const [rich, poor, late] = [
    aChannel({ deposit: 50_000_000n, expiry: seconds + 90_000n }),
    aChannel({ deposit: 5_000_000n, expiry: seconds + 90_000n }),
    aChannel({ deposit: 5_000_000n, expiry: seconds + 30n }),
  ]
  let ledger: Ledger

  async function charge(channel: typeof rich, cost: bigint): Promise<void> {
    const reserved = await ledger.reserve({ channel, voucher: aVoucher(cost, 1n), quote: cost })
    if (!reserved.ok) throw new Error(reserved.code)
    await ledger.capture(reserved.reservationId, cost)
  }

  const statusOf = async (...args: string[]) => {
    const { code, stdout, stderr } = await drain('status', '--ledger', file, '--json', ...args)
    return { code, stderr, report: JSON.parse(stdout) }
  }

  beforeAll(async () => {
    // A day ago: a channel that expires soon has run for long.
    ledger = sqliteLedger(file, { now: () => Date.now() - day, log: () => {} })(identity)
    await charge(rich, 12_000_000n)
    await charge(poor, 1_500_000n)
  })
  afterAll(async () => {
    await ledger.close()
    rmSync(folder, { recursive: true })
  })

  test('tells what was earned and what comes next, for people', async () => {
    const { code, stdout, stderr } = await drain('status', '--ledger', file)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.split('\n')).toEqual([
      `provider   ${identity.provider.toLowerCase()} on chain ${identity.chainId}`,
      `contract   ${identity.contract.toLowerCase()}`,
      'channels   2 open, 0 closing, 0 closed',
      'earned     13.5 USDC',
      'claimed    0 USDC',
      'unclaimed  13.5 USDC',
      'gas        0 spent',
      'chain      not followed yet',
      '',
      'next',
      `  12 USDC of ${rich.channelId}: threshold, expiry ${new Date(Number(rich.expiry) * 1000).toISOString()}`,
      '',
    ])
  })

  test('and for programs', async () => {
    const { code, report } = await statusOf('--threshold', '1')
    expect(code).toBe(0)
    expect(report).toEqual({
      provider: identity.provider.toLowerCase(),
      chainId: identity.chainId,
      contract: identity.contract.toLowerCase(),
      channels: { open: 2, closing: 0, closed: 0, alarms: 0 },
      currency: 'USDC',
      ...{
        earned: '13.5',
        claimed: '0',
        unclaimed: '13.5',
        unused: '0',
        claiming: '0',
        atRisk: '0',
        dust: '0',
      },
      charges: { count: 0, amount: '0', gasCost: '0', pending: '0' },
      ...{
        gasSpent: '0',
        gasBalance: null,
        needsAttention: false,
        transactions: [],
        alarms: [],
        clearedAlarms: 0,
        cursor: null,
      },
      next: [rich, poor].map((channel) => ({
        channelId: channel.channelId,
        amount: channel === rich ? '12' : '1.5',
        reason: 'threshold',
        expiry: new Date(Number(channel.expiry) * 1000).toISOString(),
      })),
    })
  })

  test('changes nothing', async () => {
    const before = await ledger.get(rich.channelId)
    await statusOf()
    expect(await ledger.get(rich.channelId)).toEqual(before)
    const copy = join(folder, 'copy.db')
    await drain('backup', '--ledger', file, '--out', copy)
    const bytes = readFileSync(copy)
    expect((await drain('status', '--ledger', copy)).code).toBe(0)
    expect(readFileSync(copy)).toEqual(bytes)
  })

  test('does without a node that fails, and does not say where it was', async () => {
    const { code, stderr, report } = await statusOf('--rpc', 'http://127.0.0.1:9/v2/secret-api-key')
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('does not answer') })
    expect(stderr).not.toMatch(/secret-api-key|127\.0\.0\.1/)
    expect(report).toMatchObject({ gasBalance: null, earned: '13.5' })
  })

  test('exits with 3 when money is at risk', async () => {
    await charge(late, 250_000n)
    const { code, report } = await statusOf()
    expect(code).toBe(3)
    expect(report).toMatchObject({ atRisk: '0.25', needsAttention: true, unclaimed: '13.75' })
    expect(report.next[0]).toMatchObject({ channelId: late.channelId, reason: 'expiring', amount: '0.25' })
    const { stdout } = await drain('status', '--ledger', file)
    expect(stdout).toContain('unclaimed  13.75 USDC (0.25 AT RISK)')
    await ledger.markClosed(late.channelId)
  })

  test('tells dust: what is left of channels that end, and not worth its gas', async () => {
    const dusty = aChannel({ deposit: 5_000_000n, expiry: seconds + 30n })
    await charge(dusty, 9_999n)
    const { code, report } = await statusOf()
    expect({ code, report }).toMatchObject({ code: 0, report: { dust: '0.009999', atRisk: '0' } })
    const isNext = (next: { channelId: string }[]) =>
      next.some(({ channelId }) => channelId === dusty.channelId)
    expect(isNext(report.next)).toBe(false)
    const { stdout } = await drain('status', '--ledger', file)
    expect(stdout).toMatch(/^unclaimed {2}\S+ USDC \(0\.009999 dust, not worth its gas\)$/m)
    // Whoever takes less for worth it has it claimed.
    const cheaper = await statusOf('--min-payout', '0.001')
    expect([cheaper.report.dust, isNext(cheaper.report.next)]).toEqual(['0', true])
    await ledger.markClosed(dusty.channelId)
  })

  test('exits with 3 when there are alarms, and shows them', async () => {
    const at = Date.parse('2026-02-03T04:05:06Z')
    const { channelId } = rich
    const message = '5 USDC were claimed by somebody else.'
    await raiseAlarm(ledger.notebook, { channelId, code: 'unknown_claim', message, at })
    const { code, report } = await statusOf()
    expect(code).toBe(3)
    expect(report.alarms).toEqual([
      { channelId, code: 'unknown_claim', message, at: new Date(at).toISOString() },
    ])
    const { stdout } = await drain('status', '--ledger', file)
    expect(stdout).toContain(`ALARMS\n  2026-02-03T04:05:06.000Z unknown_claim ${channelId}: ${message}\n`)
  })

  const clear = (...args: string[]) => drain('clear-alarm', '--ledger', file, ...args)

  test('an alarm that somebody has looked at is cleared, while the provider runs, and kept apart', async () => {
    const at = Date.now()
    const closed = { channelId: poor.channelId, code: 'closed_owing', message: '1 USDC', at } as const
    await raiseAlarm(ledger.notebook, closed)
    const { code, stdout, stderr } = await clear(
      '--channel',
      rich.channelId.toUpperCase().replace('0X', '0x'),
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '1 alarm was cleared\n' })
    expect(stdout).toMatch(new RegExp(`unknown_claim ${rich.channelId}: 5 USDC were claimed .*\n$`))
    const left = await statusOf()
    expect([left.code, left.report.alarms, left.report.clearedAlarms]).toMatchObject([
      3,
      [closed.code].map((code) => ({ code })),
      1,
    ])

    expect((await clear('--all')).stdout).toContain('closed_owing')
    expect(await statusOf()).toMatchObject({
      code: 0,
      report: { alarms: [], clearedAlarms: 2, needsAttention: false },
    })
    expect(await clear('--all')).toMatchObject({ code: 0, stdout: '', stderr: '0 alarms were cleared\n' })
    const notes = []
    for await (const { key, text } of ledger.notebook.read('cleared/')) notes.push([key, JSON.parse(text)])
    expect(notes).toContainEqual([
      expect.stringMatching(`^cleared/${poor.channelId}/closed_owing/\\d{4}-.*Z$`),
      { ...closed, clearedAt: expect.any(Number) },
    ])
    // It has happened, all the same.
    expect(await hasAlarm(ledger.notebook, rich.channelId, 'unknown_claim')).toBe(true)
    expect(await raiseAlarm(ledger.notebook, closed)).toBe(true)
    await clear('--all')
  })

  test('what the ledger itself finds is an alarm too, before it acts on it', async () => {
    const lost = aChannel({ deposit: 5_000_000n, expiry: seconds + 90_000n, claimed: 2_000_000n })
    const reserved = await ledger.reserve({ channel: lost, voucher: aVoucher(3_000_000n, 1n), quote: 1n })
    expect(reserved).toMatchObject({ ok: false, code: 'channel_closing' })
    const { code, report } = await statusOf()
    expect([code, report.channels.alarms]).toEqual([3, 1])
    expect(report.alarms).toMatchObject([
      {
        channelId: lost.channelId,
        code: 'overclaimed',
        message: expect.stringMatching(/^2\.000000 USDC of.*had charged 0\.0/),
      },
    ])
    await clear('--channel', lost.channelId)
    expect(await statusOf()).toMatchObject({ code: 0, report: { channels: { alarms: 1 }, alarms: [] } })
    // The same facts again are nothing new; more is.
    await ledger.recordClaimed(lost)
    expect((await statusOf()).code).toBe(0)
    await ledger.recordClaimed({ ...lost, claimed: 2_500_000n })
    expect((await statusOf()).code).toBe(3)
    await clear('--all')
  })

  test('clearing opens no ledger that was copied: the provider still finds it frozen', async () => {
    const copy = join(folder, 'alarmed.db')
    await raiseAlarm(ledger.notebook, { code: 'closed_owing', message: 'test', at: 1 })
    await drain('backup', '--ledger', file, '--out', copy)
    expect(await drain('clear-alarm', '--ledger', copy, '--all')).toMatchObject({
      code: 0,
      stderr: '1 alarm was cleared\n',
    })
    expect((await drain('status', '--ledger', copy)).code).toBe(0)
    expect((await statusOf()).code).toBe(3)
    const restored = sqliteLedger(copy, { log: () => {} })(identity)
    expect((await restored.get(rich.channelId))?.status).toBe('closing')
    await restored.close()
    await clear('--all')

    const missing = join(folder, 'missing.db')
    expect(await drain('clear-alarm', '--ledger', missing, '--all')).toMatchObject({ code: 1, stdout: '' })
    expect(existsSync(missing)).toBe(false)
  })

  test('refuses what is no ledger, or another one', async () => {
    expect(await drain('status', '--ledger', file, '--chain', '1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('The ledger is of chain'),
    })
    expect(await drain('status', '--ledger', join(folder, 'missing.db'))).toMatchObject({
      code: 1,
      stdout: '',
    })
  })
})
