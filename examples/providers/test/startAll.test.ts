/** Everything at once, found by the directory and paid from one wallet; and the command that starts it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RunningKit, startAll } from '../src/startAll.ts'
import { examplesOf, type Kit, postOf, startKit } from './kit.ts'

let kit: Kit
let folder: string
let all: RunningKit
beforeAll(async () => {
  kit = await startKit()
  folder = mkdtempSync(join(tmpdir(), 'drain-providers-'))
  const { chain } = kit
  const { contract: contractAddress, token: usdcAddress } = chain.deployment
  const place = { chainId: chain.chainId, rpcUrl: chain.rpcUrl, contractAddress, usdcAddress }
  all = await startAll({ ...place, accounts: chain.accounts.slice(2), folder, port: 0, log: () => {} })
})
afterAll(async () => {
  await all?.close()
  await kit?.close()
  rmSync(folder, { recursive: true, force: true })
})

it('are all listed, and each serves the request that its docs show', async () => {
  const { providers } = await (await fetch(`${all.directory.url}/api/mcp/providers`)).json()
  expect(providers.map(({ id }: { id: string }) => id)).toEqual(all.providers.map(({ id }) => id))
  expect(providers).toHaveLength(7)
  for (const { apiUrl, status, models } of providers) {
    expect(status.online).toBe(true)
    const [example] = await examplesOf({ url: apiUrl })
    expect(models.map(({ id }: { id: string }) => id)).toContain(example?.request.model)
    const response = await kit.client.fetch(`${apiUrl}${example?.path}`, postOf(example?.request))
    expect([apiUrl, response.status]).toEqual([apiUrl, 200])
    await response.json()
  }
})

it('are paid for on the chain when their channels close', async () => {
  const closed = await kit.client.closeAll()
  expect(closed).toHaveLength(7)
  for (const { finalAmount } of closed) expect(Number(finalAmount)).toBeGreaterThan(0)
})

it('are not started with known keys on a chain where money is', async () => {
  const script = fileURLToPath(new URL('../src/index.ts', import.meta.url))
  const env = { CHAIN_ID: '137', RPC_URL: 'http://127.0.0.1:9' }
  const ended = await new Promise<{ code: unknown; said: string }>((resolve) =>
    execFile(process.execPath, [script], { env, cwd: folder }, (error, _, said) =>
      resolve({ code: error?.code, said }),
    ),
  )
  expect(ended).toEqual({ code: 2, said: expect.stringContaining('npm run chain') })
})
