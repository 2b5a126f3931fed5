/** `docs/become-a-provider.md`, followed to the letter: its files, its commands, what it promises of them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { startDirectory } from '@drain/directory'
import { openSqlite } from '@drain/directory/sqlite'
import type { Paywall } from '@drain-protocol/sdk'
import { pino } from 'pino'
import { toHex } from 'viem'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { main as drain } from '../../../packages/consumer/src/cli/main.ts'
import { main as drainProvider } from '../../../packages/provider/src/cli/main.ts'
import { exampleIn, substitute } from '../../../packages/provider/test/readmeExamples.ts'
import { startDirectory as startList } from '../src/directory.ts'
import { examplesOf, type Kit, postOf, startKit } from './kit.ts'

const file = new URL('../../../docs/become-a-provider.md', import.meta.url)
const guide = readFileSync(file, 'utf8')
/** The commands of all blocks of shell. */
const commands = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
  block.trim().split('\n'),
)

let kit: Kit
let folder: string
let url: string
let mine: { paywall: Paywall; server: Server }
beforeAll(async () => {
  kit = await startKit()
  folder = mkdtempSync(fileURLToPath(new URL('.guide-', import.meta.url)))
  const { rpcUrl, deployment } = kit.chain
  setEnvironment({
    DRAIN_PRIVATE_KEY: keyOf(1),
    ...{
      CHAIN_ID: '31337',
      RPC_URL: rpcUrl,
      CONTRACT_ADDRESS: deployment.contract,
      USDC_ADDRESS: deployment.token,
    },
    LOG_LEVEL: 'silent',
  })
  const files = {
    'my-docs.ts': example('docs'),
    'my-provider.ts': substitute(example('server'), {
      "'my-provider.db'": JSON.stringify(ledger()),
      'port: 3000': 'port: 0',
    }),
    'my-stream.ts': example('stream'),
    'prices.ts': example('prices'),
  }
  for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, name), code)
  mine = await import(/* @vite-ignore */ join(folder, 'my-provider.ts'))
  await import(/* @vite-ignore */ join(folder, 'my-stream.ts'))
  if (!mine.server.listening) await new Promise((resolve) => mine.server.once('listening', resolve))
  url = `http://127.0.0.1:${(mine.server.address() as AddressInfo).port}`

  setEnvironment({
    DRAIN_PRIVATE_KEY: keyOf(0),
    ...{ DRAIN_CHAIN_ID: '31337', DRAIN_RPC_URL: rpcUrl, DRAIN_STATE_DIR: join(folder, 'state') },
    ...{ DRAIN_CONTRACT_ADDRESS: deployment.contract, DRAIN_USDC_ADDRESS: deployment.token },
  })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  mine?.server.closeAllConnections()
  mine?.server.close()
  await mine?.paywall.close()
  await kit?.close()
  rmSync(folder, { recursive: true, force: true })
})

const example = (name: string) => exampleIn(file, name)
const ledger = () => join(folder, 'my-provider.db')
const keyOf = (index: 0 | 1) => toHex(kit.chain.accounts[index].getHdKey().privateKey ?? 0)

function setEnvironment(variables: Record<string, string>): void {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value)
}

/** The command that begins so, and has `part` in it; with the provider that runs here in the place of the guide's. */
function commandWith(beginning: string, part = ''): string[] {
  const line = commands.find((command) => command.startsWith(beginning) && command.includes(part))
  if (!line) throw new Error(`The guide has no command ${beginning} … ${part}`)
  const words = line.match(/'[^']*'|\S+/g) ?? []
  return words.map((word) => word.replace(/^'|'$/g, '').replace('http://127.0.0.1:3000', url))
}

async function run(main: typeof drain, [, , ...args]: string[]) {
  const said = { stdout: '', stderr: '' }
  const into = (name: keyof typeof said) =>
    new Writable({
      write(chunk, _, done) {
        said[name] += chunk
        done()
      },
    })
  const code = await main(args, { stdout: into('stdout'), stderr: into('stderr') })
  return { code, ...said }
}

describe('the commands, in their order', () => {
  test('a wallet', async () => {
    const password = join(folder, 'password')
    writeFileSync(password, 'a password\n')
    vi.stubEnv('DRAIN_KEYSTORE_PASSWORD_FILE', password)
    const words = commandWith('npx drain key new').map((word) =>
      word.replace('provider.json', join(folder, 'key.json')),
    )
    expect(await run(drain, words)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^0x[0-9a-fA-F]{40}\n$/),
    })
    vi.stubEnv('DRAIN_KEYSTORE_PASSWORD_FILE', '')
  })

  test('whoever does not pay', async () => {
    const [, docs] = commandWith('curl http')
    expect(await (await fetch(docs ?? '')).text()).toContain('slug: makes a short name of a text')
    const [, , route, , , , body] = commandWith('curl -i')
    const { status, headers } = await fetch(route ?? '', postOf(body))
    expect([status, headers.get('X-DRAIN-Required')]).toEqual([402, '1000'])
    for (const name of ['Protocol', 'Provider', 'Contract', 'Chain'])
      expect(headers.get(`X-Payment-${name}`)).toBeTruthy()
  })

  test('whoever pays', async () => {
    const { code, stdout, stderr } = await run(drain, commandWith('npx drain fetch', 'Hello, world'))
    expect([code, stderr]).toEqual([0, expect.stringContaining('200, 0.001 USDC')])
    expect(JSON.parse(stdout).choices[0].message.content).toBe('{"slug":"hello-world"}')
    expect((await run(drain, commandWith('npx drain channels'))).stdout).toContain(url)
  })

  test('a bad request, for nothing', async () => {
    const { code, stdout } = await run(drain, commandWith('npx drain fetch', `'{"model":"slug"}'`))
    expect([code, JSON.parse(stdout).error.code]).toEqual([4, 'invalid_request'])
    const bad = [
      '',
      '[]',
      'null',
      '{"messages":[null]}',
      '{"model":"__proto__","messages":[{"content":"{}"}]}',
    ]
    for (const body of bad) {
      expect((await fetch(`${url}/v1/chat/completions`, postOf(body))).status).toBe(400)
    }
    expect((await fetch(`${url}/v1/chat/completions`, postOf('x'.repeat(70_000)))).status).toBe(413)
  })

  test('a stream', async () => {
    const { stdout, stderr } = await run(drain, ['npx', 'drain', 'fetch', `${url}/v1/count`])
    expect([...stdout.matchAll(/^data: (\d+)$/gm)].map(([, number]) => Number(number))).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    ])
    expect(stderr).toContain('0.001 USDC')
  })

  test('the end', async () => {
    const { code, stdout } = await run(drain, commandWith('npx drain close'))
    expect([code, stdout]).toEqual([0, expect.stringContaining('0.002')])
    const words = commandWith('npx drain-provider status').map((word) =>
      word.replace('my-provider.db', ledger()),
    )
    expect(await run(drainProvider, words)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('0.002'),
    })
  })
})

test('its docs are enough: what they show works, and they show what comes back', async () => {
  const [shown] = await examplesOf({ url })
  const response = await kit.client.fetch(`${url}${shown?.path}`, postOf(shown?.request))
  expect(await response.json()).toEqual(shown?.answer)
})

test('its prices are what it says', async () => {
  const prices = await import(/* @vite-ignore */ join(folder, 'prices.ts'))
  expect(prices).toMatchObject({ call: 1_000n, upload: 29_300n, tenSeconds: 10_000n })
  // 12 tokens for the 36 bytes of the messages, and 100 of output, with a fifth on top.
  expect(prices.chat).toBe(12n * 3n + 100n * 12n)
})

test('it can be listed', async () => {
  expect(commands).toContain('npm run directory -- http://127.0.0.1:3000')
  const directory = await startList({ providers: [{ url }] })
  const { providers } = await (await fetch(`${directory.url}/api/mcp/providers`)).json()
  expect(providers).toMatchObject([{ id: 'slugs', status: { online: true }, models: [{ id: 'slug' }] }])
  await directory.close()
})

test('it registers at a directory with the code that it shows', async () => {
  const { account, deployment, rpcUrl } = { ...kit.chain, account: kit.chain.accounts[1] }
  const database = await openSqlite(':memory:')
  const chains = [{ deployment, rpcUrl }]
  const log = pino({ level: 'silent' })
  const directory = await startDirectory({
    database,
    chains,
    log,
    port: 0,
    allowLoopback: true,
    review: false,
  })
  vi.stubEnv('DRAIN_PRIVATE_KEY', keyOf(1))
  try {
    const code = substitute(example('register'), {
      'https://market.example': directory.url,
      'https://api.example.com': url,
      '137': '31337',
    })
    writeFileSync(join(folder, 'register.ts'), code)
    const { registered } = await import(/* @vite-ignore */ join(folder, 'register.ts'))
    expect(registered).toMatchObject({ id: 'slugs', state: 'approved', missing: [] })
    const { providers } = await (await fetch(`${directory.url}/api/mcp/providers`)).json()
    expect(providers).toMatchObject([
      { id: 'slugs', providerAddress: account.address, status: { online: true } },
    ])
  } finally {
    await directory.close()
    await database.close()
  }
})

test('it links to files that are there', () => {
  const links = [...guide.matchAll(/\]\(([^)#]+)/g)].map(([, link = '']) => link)
  expect(links.length).toBeGreaterThan(8)
  for (const link of links)
    expect([link, existsSync(join(dirname(fileURLToPath(file)), link))]).toEqual([link, true])
})
