import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Market, startMarket } from '../src/startMarket.ts'

let chain: LocalChain
let folder: string
let market: Market
beforeAll(async () => {
  chain = await startLocalChain()
  folder = mkdtempSync(join(tmpdir(), 'drain-market-'))
  market = await startMarket({ chain, folder })
})
afterAll(async () => {
  await market?.close()
  await chain?.close()
  rmSync(folder, { recursive: true, force: true })
})

it('lists the seven example providers once they have registered', async () => {
  const { providers, count } = await (await fetch(`${market.directory.url}/api/mcp/providers`)).json()
  expect(count).toBe(7)
  expect(providers.map(({ id }: { id: string }) => id).sort()).toEqual([...market.ids].sort())
})
