/** drain-mcp as it would be published, installed alone into an empty folder. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Market, startMarket } from './market.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../../', import.meta.url))
const bin = (name: string) => join(root, 'node_modules', '.bin', name)

let folder: string
let market: Market
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drain-mcp-packed-'))
  market = await startMarket()
  await run(bin('turbo'), ['run', 'build', '--filter=./packages/*'], { cwd: root })
  await run(bin('pnpm'), ['pack', '--pack-destination', folder], { cwd: join(root, 'packages/mcp') })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true }))
  const [tarball] = readdirSync(folder).filter((file) => file.endsWith('.tgz'))
  await run('npm', ['install', '--no-audit', '--no-fund', `./${tarball}`], { cwd: folder })
}, 300_000)
afterAll(async () => {
  await market?.close()
  rmSync(folder, { recursive: true, force: true })
})

test('it brings nothing along but what is native, and pays', async () => {
  const [packages, command] = [join(folder, 'node_modules'), join(folder, 'node_modules/.bin/drain-mcp')]
  expect(readdirSync(packages)).not.toContain('viem')
  expect((await run(command, ['--help'])).stdout).toContain('DRAIN_MAX_PER_REQUEST')
  const wallet = await market.wallet()
  const client = new Client({ name: 'test', version: '1.0.0' })
  const env = { PATH: process.env.PATH ?? '', ...wallet.env }
  await client.connect(new StdioClientTransport({ command, env, stderr: 'ignore' }))
  const call = async (name: string, args: Record<string, unknown>) => {
    const { structuredContent, isError, content } = await client.callTool({ name, arguments: args })
    expect(isError, JSON.stringify(content)).not.toBe(true)
    return structuredContent as Record<string, string>
  }
  const { channelId } = await call('drain_open_channel', { provider: 'reference', amount: '0.2' })
  const messages = [{ role: 'user', content: 'Hello' }]
  const { cost } = await call('drain_chat', { channelId, messages, maxTokens: 20 })
  expect(await call('drain_cooperative_close', { channelId })).toMatchObject({ paid: cost })
  await client.close()
}, 120_000)
