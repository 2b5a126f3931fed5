/** The servers of the README and of `docs/operating.md`, run as they stand there but for chain, port and paths. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Usdc, Headers as Wire } from '@drain/core'
import type { Paywall } from '@drain/provider'
import type { RunningServer } from '@drain/provider/node'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'
import { exampleIn, runIn, substitute } from './readmeExamples.ts'
import { postgresBin, startPostgres } from './startPostgres.ts'

let fixture: Fixture
let folder: string
beforeAll(async () => {
  fixture = await startFixture()
  folder = mkdtempSync(fileURLToPath(new URL('.readme-', import.meta.url)))
})
afterAll(async () => {
  await fixture?.close()
  rmSync(folder, { recursive: true, force: true })
})

afterEach(() => void vi.unstubAllEnvs())

const example = (name: string, file = '../README.md') => exampleIn(new URL(file, import.meta.url), name)

const run = <exports>(name: string, files: Record<string, string>) => runIn<exports>(folder, name, files)

const place = () => {
  const { contract, token } = fixture.chain.deployment
  return `chainId: 31337, rpcUrl: '${fixture.chain.rpcUrl}', contractAddress: '${contract}', usdcAddress: '${token}'`
}
const key = () =>
  `0x${Buffer.from(fixture.chain.accounts[1].getHdKey().privateKey as Uint8Array).toString('hex')}`
const account = () =>
  `import { privateKeyToAccount } from 'viem/accounts'\nexport const account = privateKeyToAccount('${key()}')\n`

async function expectPaid(server: Server): Promise<void> {
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect((await fetch(`${origin}/joke`)).status).toBe(402)
  expect((await fetch(`${origin}/v1/pricing`)).status).toBe(200)
  const channel = await fixture.open()
  const response = await fetch(`${origin}/joke`, { headers: await channel.voucher(Usdc.parse('0.001')) })
  expect([response.status, await response.text()]).toEqual([200, 'a joke'])
  expect(Wire.parseCosts(response.headers)?.cost).toBe(1_000n)
}

test('node:http, in five lines', async () => {
  const code = substitute(example('node'), {
    'chainId: 137': place(),
    'drain.db': join(folder, 'drain.db'),
    'port: 3000': 'port: 0',
  })
  const { server } = await run<{ server: RunningServer }>('node.ts', {
    'node.ts': code,
    'account.ts': account(),
  })
  await expectPaid(server.server)
  await server.close()
  const lines = code.split('\n').filter((line) => line && !line.startsWith('import'))
  expect(lines.length).toBeLessThanOrEqual(5)
})

test('the server of docs/operating.md', async () => {
  const { chain } = fixture
  const { contract, token } = chain.deployment
  const files = { rpcUrls: join(folder, 'rpc-urls'), adminToken: join(folder, 'admin-token') }
  writeFileSync(files.rpcUrls, `${chain.rpcUrl}\n`)
  writeFileSync(files.adminToken, 'a token\n')
  vi.stubEnv('DRAIN_PRIVATE_KEY', key())
  const code = substitute(example('server', '../../../docs/operating.md'), {
    'chainId: 137': `chainId: 31337, contractAddress: '${contract}', usdcAddress: '${token}', log: () => {}`,
    '/etc/drain/rpc-urls': files.rpcUrls,
    '/etc/drain/admin-token': files.adminToken,
    '/var/lib/drain/drain.db': join(folder, 'operating.db'),
    'port: 3000': 'port: 0',
  })
  const { server } = await run<{ server: RunningServer }>('operating.ts', { 'operating.ts': code })
  await expectPaid(server.server)
  const metrics = await fetch(`${server.url}/metrics`, { headers: { Authorization: 'Bearer a token' } })
  expect(metrics.status).toBe(200)
  await server.close()
})

test.skipIf(!postgresBin)('the server without the key of docs/operating.md', async () => {
  const database = await startPostgres()
  try {
    const { host, user } = database.connection
    vi.stubEnv('DATABASE_URL', `postgresql:///drain?host=${encodeURIComponent(host)}&user=${user}`)
    const code = substitute(example('server without the key', '../../../docs/operating.md'), {
      'chainId: 137': `${place()}, log: () => {}`,
      'port: 3000': 'port: 0',
    })
    const { server } = await run<{ server: RunningServer }>('keyless.ts', { 'keyless.ts': code })
    await expectPaid(server.server)
    await server.close()
  } finally {
    await database.close()
  }
})

test.each(['express', 'fastify', 'hono'])('%s', async (name) => {
  const paywall = `
    import { createPaywall } from '@drain/provider'
    import { sqliteLedger } from '@drain/provider/sqlite'
    import { account } from './account.ts'
    export const paywall = createPaywall({ account, ${place()}, settle: false, log: () => {},
      ledger: sqliteLedger(${JSON.stringify(join(folder, `${name}.db`))}) })`
  const code = substitute(example(name), {
    '3000': '0',
    "'./paywall.ts'": `'./${name}-paywall.ts'`,
  })
  const files = { [`${name}.ts`]: code, [`${name}-paywall.ts`]: paywall, 'account.ts': account() }
  const { server } = await run<{ server: Server }>(`${name}.ts`, files)
  await expectPaid(server)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  const made = await import(/* @vite-ignore */ join(folder, `${name}-paywall.ts`))
  await (made.paywall as Paywall).close()
})
