/** Held against others' programs: the MCP inspector's command line, the conformance suite, and clients over HTTP. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { nodeArguments, type SourceProcess, startSourceFile } from '../../provider/test/sourceProcess.ts'
import { type AgentWallet, type Market, startMarket } from './market.ts'

const script = new URL('../src/cli/index.ts', import.meta.url)
const bin = (name: string) => fileURLToPath(new URL(`../node_modules/.bin/${name}`, import.meta.url))
const token = 'a token of twenty or more'.replaceAll(' ', '-')

let market: Market
let wallet: AgentWallet
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drain-mcp-outside-'))
  market = await startMarket()
  wallet = await market.wallet()
})
afterAll(async () => {
  await market?.close()
  rmSync(folder, { recursive: true, force: true })
})

type Ran = { code: number | null; stdout: string; stderr: string }

function run(command: string, args: string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 120_000, maxBuffer: 1 << 24 }
    const child = execFile(command, args, options, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr })
    })
  })
}

describe('the MCP inspector', () => {
  function inspect(...args: string[]) {
    const server = [process.execPath, ...nodeArguments(script)]
    const variables = Object.entries(wallet.env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
    const state = { MCP_CATALOG_PATH: join(folder, 'catalog.json') }
    return run(bin('mcp-inspector'), ['--cli', ...server, ...variables, ...args], state)
  }

  test('lists the tools, and finds their schemas portable', async () => {
    const { code, stdout, stderr } = await inspect('--method', 'tools/list', '--strict')
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout).tools).toHaveLength(13)
  })

  test('calls one, and reads a resource', async () => {
    const called = await inspect(
      '--method',
      'tools/call',
      '--tool-name',
      'drain_providers',
      '--tool-arg',
      'model=drain',
    )
    expect(JSON.parse(called.stdout).structuredContent.providers).toMatchObject([{ id: 'reference' }])
    const read = await inspect('--method', 'resources/read', '--uri', 'drain://wallet')
    expect(JSON.parse(JSON.parse(read.stdout).contents[0].text)).toMatchObject({
      address: wallet.address,
      usdc: '10',
    })
  })
})

describe('over HTTP', () => {
  let server: SourceProcess
  let url: string
  beforeAll(async () => {
    server = startSourceFile(script, ['--http', '--port', '0'], { ...wallet.env, DRAIN_MCP_TOKEN: token })
    await vi.waitFor(() => expect(server.output.stderr).toContain('serves at'), { timeout: 60_000 })
    url = /http:\S+\/mcp/.exec(server.output.stderr)?.[0] ?? ''
  })
  afterAll(async () => {
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(0)
  })

  async function connect(options: ConstructorParameters<typeof Client>[1] = {}): Promise<Client> {
    const client = new Client({ name: 'test', version: '1.0.0' }, options)
    const requestInit = { headers: { Authorization: `Bearer ${token}` } }
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }))
    return client
  }

  test('serves whoever has the token, at the same wallet', async () => {
    const client = await connect()
    const { structuredContent } = await client.callTool({ name: 'drain_balance', arguments: {} })
    expect(structuredContent).toMatchObject({ address: wallet.address })
    await client.close()
    // It isn't told to the log either.
    expect(server.output.stderr).not.toContain(token)
  })

  test('speaks the newest version of the protocol, too', async () => {
    const client = await connect({ versionNegotiation: { mode: 'auto' } })
    expect(client.getProtocolEra()).toBe('modern')
    const told: unknown[] = []
    const call = { name: 'drain_provider_info', arguments: { provider: 'reference' } }
    const { structuredContent } = await client.callTool(call, {
      onprogress: ({ message }) => told.push(message),
    })
    expect(structuredContent).toMatchObject({ provider: { id: 'reference' } })
    expect(told).toEqual(['Reading the provider’s prices and docs'])
    await client.close()
  })

  test.each(['', 'Bearer', 'Bearer wrong', `Basic ${token}`, `Bearer ${token}x`])(
    'refuses %j',
    async (Authorization) => {
      const headers = {
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
        Authorization,
      }
      const init = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
      expect((await fetch(url, { method: 'POST', headers, body: JSON.stringify(init) })).status).toBe(401)
    },
  )

  test.each([
    ['Host', 'evil.example'],
    ['Origin', 'https://evil.example'],
  ])('refuses a page that names another %s', async (name, value) => {
    const headers = { [name]: value, Authorization: `Bearer ${token}` }
    const asked = request(url, { method: 'POST', headers })
    asked.end('{}')
    const [{ statusCode }] = await once(asked, 'response')
    expect(statusCode).toBe(403)
  })

  test('conforms: all scenarios of the suite that need no server of its own', async () => {
    // The suite knows no tokens.
    const { host } = new URL(url)
    const door = createServer((req, res) => {
      const headers = { ...req.headers, authorization: `Bearer ${token}` }
      const inner = request(`http://${host}${req.url}`, { method: req.method, headers }, (answer) => {
        res.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(res)
      })
      inner.on('error', () => res.destroy())
      req.pipe(inner)
    })
    door.listen(0, '127.0.0.1')
    await once(door, 'listening')
    const { port } = door.address() as { port: number }
    const baseline = fileURLToPath(new URL('conformance.yml', import.meta.url))
    const args = [
      'server',
      '--url',
      `http://127.0.0.1:${port}/mcp`,
      '--expected-failures',
      baseline,
      '-o',
      folder,
    ]
    const { code, stdout } = await run(bin('conformance'), args)
    door.close()
    door.closeAllConnections()
    expect(code, stdout).toBe(0)
    for (const scenario of [
      'server-initialize',
      'ping',
      'tools-list',
      'resources-list',
      'prompts-list',
      'dns-rebinding-protection',
    ])
      expect(stdout).toContain(`✓ ${scenario}`)
  })
})
