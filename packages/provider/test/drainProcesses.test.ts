/** Several processes pay from one wallet and one store, and die in the middle. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createDrainClient } from '@drain/consumer'
import { sqliteStore } from '@drain/consumer/sqlite'
import { Usdc } from '@drain/core'
import type { Paywall } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/node'
import type { Hex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'
import { type SourceProcess, startSource } from './sourceProcess.ts'

const price = Usdc.parse('0.002')
let fixture: Fixture
let paywall: Paywall
let server: Server
let origin: string
/** Requests that were worked at. */
let served = 0

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ minPayout: '0.001' })
  const handler = paid(paywall, Usdc.format(price), (_, res) => {
    served += 1
    setTimeout(() => res.end('a joke'), 5)
  })
  server = createServer(endpoints(paywall, handler))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await fixture?.close()
})

async function wallet() {
  const key = generatePrivateKey()
  const account = privateKeyToAccount(key)
  await fixture.chain.fund(account.address, '50')
  await fixture.chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  return { key, account, store: join(fixture.folder, `${account.address}.db`) }
}

function start(
  { key, store }: { key: Hex; store: string },
  { count, atOnce, later = 0 }: { count: number; atOnce: number; later?: number },
): SourceProcess {
  const { rpcUrl, deployment } = fixture.chain
  const { contract: CONTRACT, token: TOKEN } = deployment
  const env = { KEY: key, RPC_URL: rpcUrl, CONTRACT, TOKEN, STORE: store, ORIGIN: origin, LATER: `${later}` }
  return startSource('../test/payer.child.ts', [String(count), String(atOnce)], env)
}

const client = ({ account, store }: Awaited<ReturnType<typeof wallet>>, later = 0) =>
  createDrainClient({
    now: () => Date.now() + later,
    walletClient: fixture.chain.walletClient(account),
    deployment: fixture.chain.deployment,
    limits: { perRequest: '0.05', perChannel: '5', perDay: '100', undelivered: '3' },
    store: sqliteStore(store),
  })

const answers = ({ output }: SourceProcess) =>
  output.stdout.split('\n').filter((line) => line.startsWith('200'))

test('three processes share one channel: all are served, and the sums agree to the unit', async () => {
  const payer = await wallet()
  const processes = [1, 2, 3].map(() => start(payer, { count: 40, atOnce: 5 }))
  for (const one of processes) expect(await one.ended, one.output.stderr).toBe(0)
  expect(processes.map((one) => answers(one).length)).toEqual([40, 40, 40])
  const own = client(payer)
  const channels = await own.channels()
  expect(channels).toHaveLength(1)
  const [{ channelId = '0x', charged = '' } = {}] = channels
  const account = await paywall.ledger.get(channelId as Hex)
  expect(account?.charged).toBe(120n * price)
  expect(Usdc.parse(charged)).toBe(120n * price)
  expect(await own.close(origin)).toMatchObject({ finalAmount: Usdc.format(120n * price) })
  await own.stop()
})

/** By then the turn of a dead process at opening is over, and what it may have sent is known. Milliseconds. */
const afterDeath = 70_000

test('killed again and again: no nonce twice, no second deposit, and the next one goes on', async () => {
  const payer = await wallet()
  const before = served
  let answered = 0
  const { publicClient } = fixture.chain
  for (let round = 0; round < 4; round++) {
    const one = start(payer, { count: 1_000, atOnce: 4, later: round * afterDeath })
    // In the opening at first, between its two transactions or later; then among requests.
    if (round === 0) {
      const { address } = payer.account
      await expect
        .poll(() => publicClient.getTransactionCount({ address }), { interval: 5 })
        .toBeGreaterThan(0)
    } else {
      await expect.poll(() => answers(one).length).toBeGreaterThanOrEqual(5)
      await new Promise((resolve) => setTimeout(resolve, 20 * round))
    }
    one.child.kill('SIGKILL')
    await one.ended
    answered += answers(one).length
  }
  const last = start(payer, { count: 20, atOnce: 4, later: 4 * afterDeath })
  expect(await last.ended, last.output.stderr).toBe(0)
  answered += answers(last).length
  // By then nobody vouches any more for what the dead had under way.
  const own = client(payer, 4 * afterDeath + 400_000)
  const open = (await own.recover()).filter(({ state }) => state === 'open')
  expect(open).toHaveLength(1)
  const [{ channelId = '0x' } = {}] = open
  expect((await own.fetch(`${origin}/joke`)).status).toBe(200)
  answered += 1
  const [{ charged = '', signed = '' } = {}] = await own.channels()
  const account = await paywall.ledger.get(channelId as Hex)
  // What was answered is charged; what the provider worked at for somebody who had left may be, or not.
  expect(account?.charged).toBeGreaterThanOrEqual(BigInt(answered) * price)
  expect(account?.charged).toBeLessThanOrEqual(BigInt(served - before) * price)
  expect(served - before - answered).toBeLessThanOrEqual(4 * 4)
  expect(Usdc.parse(charged)).toBe(account?.charged)
  expect(Usdc.parse(signed)).toBeGreaterThanOrEqual(account?.charged ?? 0n)
  await own.stop()
  const closing = client(payer)
  expect(await closing.close(origin)).toMatchObject({ finalAmount: charged })
  await closing.stop()
})
