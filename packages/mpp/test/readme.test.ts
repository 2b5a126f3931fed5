/** The examples of the README, run as they stand there but for chain, port, paths and origin. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as client from '@drain/mpp/client'
import * as server from '@drain/mpp/server'
import type { Paywall } from '@drain/provider'
import { Challenge, Receipt } from 'mppx'
import { toHex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { serve } from '../../consumer/test/serve.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { exampleIn, runIn, substitute } from '../../provider/test/readmeExamples.ts'

const file = new URL('../README.md', import.meta.url)
const readme = readFileSync(file, 'utf8')
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

const example = (name: string) => exampleIn(file, name)

const run = <exports>(name: string, files: Record<string, string>) => runIn<exports>(folder, name, files)

const privateKeyOf = (index: 0 | 1) =>
  toHex(fixture.chain.accounts[index].getHdKey().privateKey as Uint8Array)
const place = () => {
  const { contract, token } = fixture.chain.deployment
  return `chainId: 31337, contract: '${contract}', token: '${token}'`
}
const chain = () => {
  const { contract, token } = fixture.chain.deployment
  return `chainId: 31337, rpcUrl: '${fixture.chain.rpcUrl}', contractAddress: '${contract}', usdcAddress: '${token}'`
}
const account = () =>
  `import { privateKeyToAccount } from 'viem/accounts'\nexport const account = privateKeyToAccount('${privateKeyOf(0)}')\n`
/** The token's name, where it isn't one of those that are known. */
const tokenDomain = `tokenDomain: { name: 'USD Coin', version: '2' }`

async function startServer(): Promise<{ paywall: Paywall; origin: string; close(): Promise<void> }> {
  vi.stubEnv('DRAIN_PRIVATE_KEY', privateKeyOf(1))
  const code = substitute(example('server'), {
    'chainId: 137': `${chain()}, settle: false, log: () => {}`,
    'drain.db': join(folder, 'drain.db'),
    'port: 3000': 'port: 0',
  })
  const { paywall, server } = await run<{ paywall: Paywall; server: Server }>('paywall.ts', {
    'paywall.ts': code,
  })
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  return {
    paywall,
    origin: `http://127.0.0.1:${port}`,
    async close() {
      await new Promise((resolve) => server.close(resolve))
      await paywall.close()
    },
  }
}

test('server and clients, in the four ways', async () => {
  const { origin, paywall, close } = await startServer()
  const offered = async (url: string) =>
    Challenge.fromResponseList(await fetch(url)).map(({ method, intent }) => `${method}/${intent}`)
  expect(await offered(`${origin}/moon`)).toEqual(['drain/session', 'evm/charge'])
  const description = (await (await fetch(`${origin}/openapi.json`)).json()) as { paths: object }
  expect(Object.keys(description.paths)).toContain('/moon')
  expect((await fetch(`${origin}/llms.txt`)).status).toBe(200)

  vi.stubEnv('MPP_SECRET_KEY', 'a secret of tests, at least 32 bytes')
  const { handle } = await run<{ handle(request: Request): Promise<Response> }>('mppx.ts', {
    'mppx.ts': substitute(example('mppx server'), {
      'charge({ paywall,': `charge({ paywall, ${tokenDomain},`,
    }),
  })
  const mppx = await serve(async (request) => (await paywall.endpoints(request)) ?? handle(request))
  expect(await offered(`${mppx.origin}/moon`)).toEqual(['drain/session', 'evm/charge'])

  for (const [name, at] of Object.entries({ ours: origin, mppx: mppx.origin })) {
    const before = await paywall.ledger.totals()
    const drain = substitute(example('client'), {
      'https://api.example': at,
      '{ chainId: 137 }': `{ ${place()} }`,
      'maxAmount:': `${tokenDomain}, maxAmount:`,
      'chainId: 137': chain(),
    })
    const stock = substitute(example('mppx client'), { 'https://api.example': at, 'chainId: 137': chain() })
    const files = { 'account.ts': account(), [`drain-${name}.ts`]: drain, [`stock-${name}.ts`]: stock }
    for (const file of [`drain-${name}.ts`, `stock-${name}.ts`]) {
      const { response } = await run<{ response: Response }>(file, files)
      expect([file, response.status, await response.json()]).toEqual([file, 200, { lit: 0.5 }])
      if (file.startsWith('stock')) expect(Receipt.fromResponse(response)).toMatchObject({ method: 'drain' })
    }
    const after = await paywall.ledger.totals()
    expect(after.charged - before.charged).toBe(20_000n)
  }
  await mppx.close()
  await close()
})

test('its table names what there is', () => {
  const table = readme.split('## Which part is for you')[1]?.split('\n\n')[1] ?? ''
  const parts = [...table.matchAll(/^\| (.*?) +\| (.*?) +\|$/gm)].slice(2)
  expect(parts).toHaveLength(5)
  for (const [, who = '', what = ''] of parts) {
    const names = [...what.matchAll(/(\w+)\(/g)]
      .map(([, name]) => name)
      .filter((name) => name !== 'charge' || who.includes('mppx'))
    const exported = who.includes('provider') || who.includes('server') ? server : client
    for (const name of names) expect(Object.keys(exported), who).toContain(name)
  }
})

test('the example that it points to is as long as it says', () => {
  const [, lines] = /examples\/mpp-api`\].* is a whole API in (\d+) lines/.exec(readme) ?? []
  const code = readFileSync(new URL('../../../examples/mpp-api/src/index.ts', import.meta.url), 'utf8')
  expect(code.trimEnd().split('\n')).toHaveLength(Number(lines))
})

test('the files and settings that it names are there', () => {
  const source = ['charges', 'chargeBudget', 'chargeScheme', 'chargeSettler', 'awaitConfirmed']
    .map((name) => readFileSync(new URL(`../src/server/${name}.ts`, import.meta.url), 'utf8'))
    .join('\n')
  const bounds = readme.split('| bound, of `evmCharge`')[1]?.split('\n\n')[0] ?? ''
  const named = [...bounds.matchAll(/^\| `(\w+)` .*\| +([\d,]+)/gm)]
  expect(named).toHaveLength(4)
  for (const [, name, value = ''] of named)
    expect(source.replaceAll('_', '')).toContain(`${name} = ${value.replaceAll(',', '')}`)
  for (const name of ['nativePrice', 'minAmount', 'gasFactor', 'patienceMs', 'contractWallets', 'secret'])
    expect(readme).toContain(name)
})
