/** The ends of channels, as they are told: the same to every repeat, and signed by whoever has the key. */
import { spawnSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { CloseAuthorization, Usdc } from '@drain/core'
import type { Ledger, LedgerOpener, Paywall, PaywallConfig } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Hex, toHex, verifyTypedData } from 'viem'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { addressOf } from '../src/settle/withoutKey.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { type SourceProcess, startSource } from './sourceProcess.ts'
import { type Postgres, postgresBin, startPostgres } from './startPostgres.ts'

type Four = [OpenChannel, OpenChannel, OpenChannel, OpenChannel]
type Answer = { channelId: Hex; finalAmount: string; signature: Hex; txHash?: Hex }
type Store = {
  open: LedgerOpener
  config: Record<string, string>
  url: string
  /** Another one that is the same, while nobody has this one open. */
  copy(): Store | Promise<Store>
}

const owed = Usdc.parse('0.4')
/** Rounds claim nothing here: what happens was asked for. */
const settle = { threshold: '1000', nativePrice: '0.000001' }
const silent = { log: () => {} }

let fixture: Fixture
let server: Postgres
let privateKey: Hex
const paywalls: Paywall[] = []
const running: SourceProcess[] = []

beforeAll(async () => {
  fixture = await startFixture()
  privateKey = toHex(fixture.chain.accounts[1].getHdKey().privateKey as Uint8Array)
  if (postgresBin) server = await startPostgres()
})
afterEach(async () => {
  for (const { child } of running) child.kill('SIGTERM')
  for (const { ended } of running.splice(0)) await ended
  for (const paywall of paywalls.splice(0)) await paywall.close()
})
afterAll(async () => {
  await fixture?.close()
  await server?.close()
})

let count = 0
function sqlite({ now, from }: { now?: () => number; from?: string } = {}): Store {
  const path = join(fixture.folder, `closings-${count++}.db`)
  if (from) copyFileSync(from, path)
  const open = sqliteLedger(path, { ...silent, now, restored: 'trust' })
  return { open, config: { path }, url: path, copy: () => sqlite({ from: path }) }
}
async function postgres(from = 'template1'): Promise<Store> {
  const name = `closings_${count++}`
  await server.sql(`CREATE DATABASE ${name} OWNER drain TEMPLATE ${from}`)
  const { host, user } = server.connection
  const url = `postgresql:///${name}?host=${encodeURIComponent(host)}&user=${user}`
  const open = postgresLedger(url, { ...silent, restored: 'trust' })
  return { open, config: { postgres: url }, url, copy: () => postgres(name) }
}
const stores: [string, () => Store | Promise<Store>][] = [['SQLite', () => sqlite()]]
if (postgresBin) stores.push(['PostgreSQL', () => postgres()])

function start({ open }: Store, options: Partial<PaywallConfig> = {}): Paywall {
  const paywall = fixture.paywall({ ledger: open, ...options })
  paywalls.push(paywall)
  return paywall
}

/** A server that has the provider's address only. */
const keyless = (store: Store, options: Partial<PaywallConfig> = {}) =>
  start(store, { account: fixture.provider.address, ...options })

/** Opens channels and lets them be charged. */
async function charged(paywall: Paywall, channels: number): Promise<OpenChannel[]> {
  const opened: OpenChannel[] = []
  for (let index = 0; index < channels; index += 1) {
    const channel = await fixture.open()
    const request = new Request('http://p.test/x', { headers: await channel.voucher(owed + 1n) })
    expect((await paywall.handle(request, owed, () => new Response('done'))).status).toBe(200)
    opened.push(channel)
  }
  return opened
}

const bodyOf = async (channel: OpenChannel) =>
  JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) })

async function close(paywall: Paywall, channel: OpenChannel) {
  const request = new Request('http://p.test/v1/close-channel', {
    method: 'POST',
    body: await bodyOf(channel),
  })
  const response = (await paywall.endpoints(request)) as Response
  return { status: response.status, body: (await response.json()) as Answer }
}

function configOf(store: Store) {
  const { chainId, rpcUrl, deployment } = fixture.chain
  const { contract: contractAddress, token: usdcAddress } = deployment
  return { chainId, rpcUrl, contractAddress, usdcAddress, ...store.config }
}

/** Another process closes; one without the key, unless it is given. */
async function closeElsewhere(store: Store, channel: OpenChannel, key?: { privateKey: Hex }) {
  const config = JSON.stringify({ ...configOf(store), account: fixture.provider.address, ...key })
  const child = startSource('../test/closing.child.ts', [config, await bodyOf(channel)])
  running.push(child)
  expect(await child.ended, child.output.stderr).toBe(0)
  return JSON.parse(child.output.stdout) as { status: number; retryAfter: string | null; body: Answer }
}

function worker({ url }: Store): SourceProcess {
  const { rpcUrl, deployment } = fixture.chain
  const args = ['settle', '--ledger', url, '--usdc', deployment.token, '--native-price', '0.000001']
  const env = { DRAIN_RPC_URL: rpcUrl, DRAIN_PRIVATE_KEY: privateKey }
  const started = startSource('cli/index.ts', [...args, '--threshold', '1000'], env)
  running.push(started)
  return started
}

const isSigned = ({ channelId, finalAmount, signature }: Answer) =>
  verifyTypedData({
    ...CloseAuthorization.typedData(
      { channelId, finalAmount: BigInt(finalAmount) },
      fixture.chain.deployment,
    ),
    address: fixture.provider.address,
    signature,
  })

async function notesOf({ notebook }: Ledger, prefix: string): Promise<string[]> {
  const found = []
  for await (const { key } of notebook.read(prefix)) found.push(key)
  return found
}

const set = ({ notebook }: Ledger, key: string, text: string) =>
  notebook.write(key, () => ({ result: undefined, write: text }))

async function claimsOf({ ledger }: Paywall) {
  const found = []
  for await (const { channelId, amount, txHash } of ledger.claims()) found.push({ channelId, amount, txHash })
  return found
}

describe.each(stores)('on %s', (_, make) => {
  test('repeats get the same answer: after a restart, from another process, and once it is final', async () => {
    const store = await make()
    const first = start(store, { finality: 2n, exposure: '1000' })
    const [channel] = (await charged(first, 1)) as [OpenChannel]
    const told = await close(first, channel)
    expect(told).toMatchObject({ status: 200, body: { finalAmount: '400000', txHash: expect.any(String) } })
    expect(await isSigned(told.body)).toBe(true)
    expect(await closeElsewhere(store, channel, { privateKey })).toMatchObject(told)
    await first.close()

    const again = start(store, { finality: 2n })
    expect(await close(again, channel)).toEqual(told)
    await fixture.chain.testClient.mine({ blocks: 4 })
    await again.settler.run()
    expect(await again.ledger.get(channel.id)).toMatchObject({ status: 'closed' })
    await again.close()
    const final = start(store, { finality: 2n })
    expect(await close(final, channel)).toEqual(told)
    expect(await close(keyless(store, { finality: 2n }), channel)).toEqual(told)
    expect(await closeElsewhere(store, channel, { privateKey })).toMatchObject(told)
    expect(await claimsOf(final)).toEqual([{ channelId: channel.id, amount: owed, txHash: told.body.txHash }])
  })

  test('servers without the key serve, and have channels ended by whoever has it, once, whoever asks', async () => {
    const store = await make()
    const one = keyless(store)
    const channels = await charged(one, 3)
    const sent = await fixture.sent()
    // Nobody has the key: it is asked for all the same.
    const [alone] = channels as [OpenChannel]
    const refused = await closeElsewhere(store, alone)
    expect(refused).toMatchObject({ status: 503, retryAfter: '1', body: { error: { code: 'unavailable' } } })
    expect(await one.ledger.get(alone.id)).toMatchObject({ status: 'closing', finalAmount: owed })
    expect(await fixture.sent()).toBe(sent)

    const workers = [worker(store), worker(store)]
    const answers = await Promise.all(
      channels.flatMap((channel) => [
        close(one, channel),
        close(keyless(store), channel),
        closeElsewhere(store, channel),
      ]),
    )
    for (const [index, { status, body }] of answers.entries()) {
      const channelId = channels[Math.floor(index / 3)]?.id
      expect({ status, body }).toMatchObject({ status: 200, body: { channelId, finalAmount: '400000' } })
      expect(await isSigned(body)).toBe(true)
    }
    for (const channel of channels) {
      const { body } = await close(one, channel)
      expect(body.txHash).toEqual(expect.any(String))
      expect((await closeElsewhere(store, channel)).body).toEqual(body)
    }
    expect(await fixture.sent()).toBe(sent + channels.length)
    expect((await claimsOf(one)).map(({ amount }) => amount)).toEqual([owed, owed, owed])
    expect(await notesOf(one.ledger, 'closing-asked/')).toEqual([])
    for (const { child, output, ended } of workers) {
      child.kill('SIGTERM')
      expect(await ended, output.stderr).toBe(0)
      expect(output.stderr).not.toContain(privateKey.slice(2))
    }
  }, 180_000)

  test('what was written by a server that is not to be trusted is never signed', async () => {
    const store = await make()
    const server = keyless(store)
    const [open, cheap, early, other] = (await charged(server, 4)) as OpenChannel[] & Four
    const { ledger } = server
    const holder = start(store, { settle })
    await holder.settler.run()
    for (const { id } of [cheap, early, other]) await ledger.freeze((await ledger.get(id)) as never)
    // Not final: one runs, of one nothing is fixed, one is not even a channel.
    const names = [open.id, early.id, `0x${'7'.repeat(64)}`, 'nonsense', '../tx']
    for (const name of names) await set(ledger, `closing-asked/${name}`, '1')
    // Ends that were never signed, at less than is owed and at that; one that was; and transactions that aren't there.
    const unsent = { txHash: `0x${'ab'.repeat(32)}`, at: Date.now() }
    for (const [{ id }, amount] of [[cheap, 1n] as const, [other, owed] as const]) {
      const forged = { finalAmount: `${amount}n`, signature: `0x${'11'.repeat(65)}`, ...unsent }
      await set(ledger, `closing/${id}`, JSON.stringify(forged))
    }
    const end = { channelId: early.id, finalAmount: owed }
    const typed = CloseAuthorization.typedData(end, fixture.chain.deployment)
    const known = { finalAmount: `${owed}n`, signature: await fixture.provider.signTypedData(typed) }
    await set(ledger, `closing/${early.id}`, JSON.stringify({ ...known, ...unsent }))
    await set(ledger, `closing/${open.id}`, 'no JSON')
    await holder.settler.run()
    await expect.poll(() => notesOf(ledger, 'closing-asked/')).toEqual([])
    expect(await ledger.get(open.id)).toMatchObject({ status: 'open', finalAmount: undefined })
    expect([await fixture.claimed(open.id), await fixture.claimed(early.id)]).toEqual([0n, 0n])

    const closed = await Promise.all([cheap, early, other].map((channel) => close(server, channel)))
    for (const { status, body } of closed) {
      expect({ status, body }).toMatchObject({ status: 200, body: { finalAmount: '400000' } })
      expect(await isSigned(body)).toBe(true)
      expect((await claimsOf(server)).map((claim) => claim.txHash)).toContain(body.txHash)
    }
    expect([await fixture.claimed(open.id), (await ledger.get(open.id))?.status]).toEqual([0n, 'open'])
  })

  test('a holder of the key that is killed at any step leaves nothing half done: the next one ends the channel, once', async () => {
    const made = await make()
    const before = keyless(made)
    const [channel] = (await charged(before, 1)) as [OpenChannel]
    await before.ledger.freeze((await before.ledger.get(channel.id)) as never)
    await before.ledger.finalize(channel.id)
    await set(before.ledger, `closing-asked/${channel.id}`, '1')
    await before.close()
    const { testClient } = fixture.chain
    const sent = await fixture.sent()
    let step = 1
    for (let wasKilled = true; wasKilled; step += 1) {
      const snapshot = await testClient.snapshot()
      const store = await made.copy()
      const config = JSON.stringify({ ...configOf(store), privateKey, settle })
      const child = join(import.meta.dirname, 'settling.child.ts')
      const ended = spawnSync(process.execPath, [child, config, `${step}`], { encoding: 'utf8' })
      wasKilled = ended.signal === 'SIGKILL'
      if (!wasKilled) expect(ended).toMatchObject({ status: 0, stderr: '' })
      const server = keyless(store)
      const { ledger } = server
      if (wasKilled) {
        // As if the time of the dead had run out.
        await ledger.notebook.write('lease/settler', () => ({ result: undefined, write: null }))
        const holder = start(store, { settle })
        await holder.settler.run()
        await holder.close()
      }
      expect(await notesOf(ledger, 'closing-asked/'), `killed at step ${step}`).toEqual([])
      expect(await ledger.get(channel.id), `killed at step ${step}`).toMatchObject({
        ...{ status: 'closed', charged: owed, claimed: owed, finalAmount: owed, alarm: false },
      })
      const { status, body } = await close(server, channel)
      expect(status, `killed at step ${step}`).toBe(200)
      expect(await isSigned(body)).toBe(true)
      expect(await claimsOf(server), `killed at step ${step}`).toEqual([
        { channelId: channel.id, amount: owed, txHash: body.txHash },
      ])
      expect(await fixture.sent(), `killed at step ${step}`).toBe(sent + 1)
      await server.close()
      await testClient.revert({ id: snapshot })
    }
    expect(step).toBeGreaterThan(8)
  }, 600_000)
})

test('while blocks are waited for the end is signed all the same', async () => {
  const store = sqlite()
  const server = keyless(store)
  const [claimed, channel] = (await charged(server, 2)) as [OpenChannel, OpenChannel]
  const { testClient } = fixture.chain
  await testClient.setAutomine(false)
  try {
    const holder = start(store, { settle: { ...settle, threshold: '0.3' } })
    // The round of claims waits for a block.
    await expect.poll(async () => (await testClient.getTxpoolStatus()).pending, { timeout: 20_000 }).toBe(1)
    const { status, body } = await close(server, channel)
    expect(status).toBe(200)
    expect(body).not.toHaveProperty('txHash')
    expect(await isSigned(body)).toBe(true)
    await testClient.setAutomine(true)
    await testClient.mine({ blocks: 1 })
    await expect
      .poll(async () => (await close(server, channel)).body.txHash, { timeout: 60_000 })
      .toBeDefined()
    expect(await fixture.claimed(claimed?.id as Hex)).toBe(owed)
    await holder.close()
  } finally {
    await testClient.setAutomine(true)
  }
}, 180_000)

test('how channels ended is forgotten with the journal, and signed again when somebody asks', async () => {
  let ahead = 0
  const store = sqlite({ now: () => Date.now() + ahead })
  const holder = start(store, { settle })
  const [channel] = (await charged(holder, 1)) as [OpenChannel]
  ahead = -91 * 86_400_000
  const told = await close(holder, channel)
  expect(await notesOf(holder.ledger, 'closing/')).toHaveLength(1)
  await holder.close()
  ahead = 0
  const next = start(store)
  expect(await close(next, channel)).toEqual(told)
  await next.close()
  const later = start(store, { settle })
  await later.settler.run()
  expect(await notesOf(later.ledger, 'closing/')).toEqual([])
  const { txHash, ...signed } = told.body
  expect(await close(later, channel)).toEqual({ status: 200, body: signed })
  expect(await claimsOf(later)).toEqual([{ channelId: channel.id, amount: owed, txHash }])
})

describe('a server without the key', () => {
  test('is refused what takes it, with what to do', async () => {
    const { address } = fixture.provider
    const ledger = () => {
      throw new Error('opened')
    }
    const refusals: [Partial<PaywallConfig>, string, RegExp][] = [
      [{ settle: {} }, 'key_elsewhere', /settle: false.*drain-provider settle/],
      [{ relay: { nativePrice: '0.25' } }, 'key_elsewhere', /Leave relay out/],
      [{ account: '0x12' }, 'account_invalid', /address/],
    ]
    for (const [options, code, message] of refusals) {
      const start = () => fixture.paywall({ account: address, ledger, ...options })
      expect(start).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    }
    try {
      addressOf(privateKey)
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ code: 'account_invalid' })
      expect(String(error)).not.toContain(privateKey.slice(2))
    }
    expect(addressOf(address.toLowerCase() as Hex)).toBe(address)
  })

  test('tells the operator where to claim, and still counts', async () => {
    const server = keyless(sqlite(), { adminToken: 'token' })
    const ask = (path: string, method = 'GET') =>
      server.endpoints(
        new Request(`http://p.test/v1/admin/${path}`, { method, headers: { Authorization: 'Bearer token' } }),
      ) as Promise<Response>
    const claim = await ask('claim?force=true', 'POST')
    expect(claim.status).toBe(501)
    expect((await claim.json()).error).toMatchObject({
      code: 'key_elsewhere',
      message: expect.stringContaining('drain-provider settle'),
    })
    expect((await ask('stats')).status).toBe(200)
    await expect(server.settlement.claimAll(1n)).rejects.toMatchObject({ code: 'key_elsewhere' })
  })
})
