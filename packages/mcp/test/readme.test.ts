/** What the READMEs say is so. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import { readMcpSettings, readWalletSettings } from '../src/settings.ts'
import { tools } from '../src/tools/index.ts'
import { collect } from './collect.ts'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const readme = read('../README.md')

/** The JSON blocks of a text. */
function configurations(text: string) {
  return [...text.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, json = '']) => JSON.parse(json))
}

async function usage(): Promise<string> {
  const { written, streams } = collect()
  await main(['--help'], streams)
  return written.stdout
}

test('every tool and every variable is in the README', async () => {
  for (const { name } of tools) expect(readme).toContain(`\`${name}\``)
  const variables = (await usage()).match(/DRAIN_[A-Z_]+/g) ?? []
  expect(variables.length).toBeGreaterThan(10)
  for (const variable of variables) expect(readme).toContain(`\`${variable}\``)
})

test.each(['../README.md', '../../../README.md'])('the configuration in %s is understood', async (path) => {
  const found = configurations(read(path))
  expect(found.length).toBeGreaterThan(0)
  for (const { mcpServers } of found) {
    const { command, args, env } = mcpServers.drain
    expect([command, ...args]).toEqual(['npx', '-y', 'drain-mcp'])
    expect(Object.keys(env).every((name) => readme.includes(`\`${name}\``))).toBe(true)
    const { DRAIN_KEYSTORE: _, DRAIN_KEYSTORE_PASSWORD_FILE: __, ...rest } = env
    const settings = readMcpSettings({ ...rest, DRAIN_PRIVATE_KEY: `0x${'1'.repeat(64)}` })
    expect(settings.deployment.chainId).toBe(137)
    const { limits } = await readWalletSettings(settings)
    expect(limits).toMatchObject({ perRequest: '0.05', perChannel: '1', perDay: '2' })
  }
})
