/** An agent with drain-mcp and nothing else runs each skill as the directory tells it to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { Usdc } from '@drain/core'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { erc20Abi, type Hex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DescribedSkill } from '../../../packages/directory/src/skills/describeSkill.ts'
import {
  fillTemplate,
  type Json,
  resolveReference,
} from '../../../packages/directory/src/skills/fillTemplate.ts'
import { nodeArguments } from '../../../packages/provider/test/sourceProcess.ts'
import { publishSkills } from '../src/publishSkills.ts'
import { type Market, startMarket } from '../src/startMarket.ts'

let chain: LocalChain
let folder: string
let market: Market
let client: Client
let agent: Hex
beforeAll(async () => {
  chain = await startLocalChain()
  folder = mkdtempSync(join(tmpdir(), 'drain-skills-'))
  market = await startMarket({ chain, folder })
  const [author] = chain.accounts
  await publishSkills({ directory: market.directory.url, account: author, chainId: chain.chainId })

  const key = generatePrivateKey()
  agent = privateKeyToAccount(key).address
  await chain.fund(agent, '10')
  await chain.testClient.setBalance({ address: agent, value: 10n ** 18n })
  client = new Client({ name: 'test', version: '1.0.0' })
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: nodeArguments(new URL('../../../packages/mcp/src/cli/index.ts', import.meta.url)),
      stderr: 'ignore',
      env: {
        PATH: process.env.PATH ?? '',
        DRAIN_PRIVATE_KEY: key,
        DRAIN_CHAIN_ID: String(chain.chainId),
        DRAIN_RPC_URL: chain.rpcUrl,
        DRAIN_CONTRACT_ADDRESS: chain.deployment.contract,
        DRAIN_USDC_ADDRESS: chain.deployment.token,
        DRAIN_DIRECTORY_URL: market.directory.url,
        DRAIN_STATE_DIR: join(folder, 'agent'),
      },
    }),
  )
})
afterAll(async () => {
  await client?.close()
  await market?.close()
  await chain?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function call(name: string, given: Record<string, Json>): Promise<Record<string, unknown>> {
  const { content, structuredContent, isError } = await client.callTool(
    { name, arguments: given },
    { timeout: 120_000, resetTimeoutOnProgress: true, onprogress: () => {} },
  )
  if (isError) throw new Error(`${name}: ${JSON.stringify(content)}`)
  return structuredContent as Record<string, unknown>
}

/** Calls what `execution.calls` lists and nothing else. Amounts in base units. */
async function run(id: string, given: Record<string, Json>) {
  const skill: DescribedSkill = await (await fetch(`${market.directory.url}/api/skills/${id}`)).json()
  const { inputs, output } = skill.definition
  const examples = inputs.flatMap(({ name, required, example }) =>
    required ? [] : [[name, example as Json]],
  )
  const values = {
    inputs: { ...Object.fromEntries(examples), ...given },
    outputs: {} as Record<string, string>,
  }
  const channels = new Map<string, string>()
  const before = await usdc()
  let [told, paid] = [0n, 0n]
  for (const { tool, arguments: template, keep } of skill.execution.calls) {
    const channelId = /^\{\{channels\.(.+)\}\}$/.exec(String(template.channelId))?.[1]
    const isOf = channelId && { channelId: channels.get(channelId) ?? '' }
    const filled = fillTemplate({ ...template, ...isOf }, values) as Record<string, Json>
    const answer = await call(tool, filled)
    if (typeof answer.cost === 'string') told += Usdc.parse(answer.cost)
    if (typeof answer.paid === 'string') paid += Usdc.parse(answer.paid)
    if (!keep) continue
    const [kind, name = ''] = keep.as.split('.')
    const kept = String(answer[keep.field])
    if (kind === 'channels') channels.set(name, kept)
    else values.outputs[name] = kept
  }
  expect(paid).toBe(told)
  expect(before - (await usdc())).toBe(paid)
  return { skill, result: resolveReference(output.from, values), outputs: values.outputs, paid }
}

const usdc = () =>
  chain.publicClient.readContract({
    ...{ address: chain.deployment.token, abi: erc20Abi, functionName: 'balanceOf', args: [agent] },
  })

/** What it cost is what was estimated, or less, but not by more than one order. */
function expectEstimated({ skill, paid }: Awaited<ReturnType<typeof run>>): void {
  const estimate = Usdc.parse(skill.cost.total ?? '0')
  expect(skill.warnings).toEqual([])
  expect(paid).toBeLessThanOrEqual(2n * estimate)
  expect(10n * paid).toBeGreaterThanOrEqual(estimate)
}

test('all three are listed with what they cost', async () => {
  const { skills, total } = await (await fetch(`${market.directory.url}/api/skills?status=published`)).json()
  expect(total).toBe(3)
  for (const { cost, protocol } of skills) {
    expect(cost).toMatch(/^0\.0\d+$/)
    expect(protocol).toBe('drain')
  }
})

test('a reading brief tells how long a text is, and what it says', async () => {
  const text = 'A channel holds "money".\nOne opens it {once}, and {{inputs.sentences}} pays often.'
  const done = await run('reading-brief', { text })
  expect(JSON.parse(done.outputs.measure ?? '')).toMatchObject({ sentences: 2 })
  const { words } = JSON.parse(done.outputs.measure ?? '')
  expect(done.result).toContain(`A text of ${words} words in 2 sentences follows.`)
  expect(done.result).toContain('in at most 3 sentences')
  expect(done.result).toContain('holds "money"')
  expectEstimated(done)
})

test('records become a CSV file that is packed', async () => {
  const records = [
    { city: 'Évora', note: 'says "olá", twice\nat least' },
    { city: 'Porto', people: 231_800, nested: { a: 1 } },
  ]
  const done = await run('records-to-a-packed-csv-file', { records })
  expect(gunzipSync(Buffer.from(String(done.result), 'base64')).toString('utf8')).toBe(
    'city,note,people,nested\r\nÉvora,"says ""olá"", twice\nat least",,\r\nPorto,,231800,"{""a"":1}"\r\n',
  )
  expectEstimated(done)
})

test('a random walk’s distance is simulated, converted and explained', async () => {
  const done = await run('how-far-a-random-walk-gets', { steps: 400, unit: 'ft' })
  const { meanDistance, walks } = JSON.parse(done.outputs.walk ?? '')
  // √(2 · 400 / π) steps.
  expect(meanDistance).toBeCloseTo(15.96, 0)
  const { value } = JSON.parse(done.outputs.convert ?? '')
  expect(value).toBeCloseTo(meanDistance * 0.3048, 6)
  expect(done.result).toContain(`400 steps of one ft ends ${value} m from its start`)
  expect(done.result).toContain(`simulated ${walks} times`)
  expectEstimated(done)
})
