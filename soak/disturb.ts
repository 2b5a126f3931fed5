/** What happens to a provider: its processes die, its chain is reorganised, its node is away, and time passes. */
import { Usdc } from '@drain/core'
import type { Hex } from 'viem'
import type { RpcAnswer, RpcProxy, RpcQuestion } from '../packages/provider/test/RpcProxy.ts'
import { askToPay } from './finish.ts'
import { expiryOf, readLedger } from './ledgerFile.ts'
import type { Process } from './Process.ts'
import type { Rng } from './Rng.ts'
import { settings } from './settings.ts'
import type { World } from './World.ts'

export type Provider = {
  server: Process
  worker: Process
  proxy: RpcProxy
  /** The ledger's file. */
  path: string
  /** Sets the run's clock ahead, everywhere. */
  leap(seconds: number): Promise<void>
  /** Takes the chain's time to the clock's. */
  synchronize(): Promise<void>
}

const weights = {
  killServer: 18,
  restartServer: 6,
  killWorker: 12,
  replaceWorker: 6,
  reorganise: 26,
  leap: 26,
  silence: 8,
  claim: 4,
}

/** What every run begins with, so that none goes without it. */
const opening = ['killServer', 'reorganise', 'killWorker', 'leap'] as const

/** Between two ends of the worker: what it held is its successor's after 20 seconds, and that needs its turn too. */
const workerMs = 30_000
/** Seconds; nobody's channel is forgotten for longer. */
const longestLeap = 900

/** Disturbs until the run ends, and everything at its beginning has happened. Resolves when everything runs again. */
export async function disturb(
  world: World,
  provider: Provider,
  rng: Rng,
  gap: { from: number; to: number },
): Promise<void> {
  const { server, worker, proxy } = provider
  let workerAt = Number.NEGATIVE_INFINITY
  proxy.lie = interfere(rng)

  /** They resolve with whether it came to that. */
  const acts: Record<keyof typeof weights, () => Promise<boolean>> = {
    async killServer() {
      await server.kill()
      await world.pause(rng.int(0, 1_500))
      await server.start()
      return true
    },
    async restartServer() {
      await server.stop()
      await server.start()
      return true
    },
    async killWorker() {
      if (performance.now() - workerAt < workerMs) return false
      await worker.kill()
      await world.pause(rng.int(0, 3_000))
      await worker.start()
      workerAt = performance.now()
      return true
    },
    async replaceWorker() {
      if (performance.now() - workerAt < workerMs) return false
      await worker.replace()
      workerAt = performance.now()
      return true
    },
    async reorganise() {
      await reorganise(world, rng, rng.int(1, Number(deepest)))
      await provider.synchronize()
      return true
    },
    async leap() {
      const seconds = Math.min(await mayLeap(world, provider.path), rng.int(60, longestLeap))
      if (seconds < 5) return false // channels wait for their claim
      await provider.leap(seconds)
      return true
    },
    async silence() {
      proxy.isDown = true
      await world.pause(rng.int(500, 4_000))
      proxy.isDown = false
      return true
    },
    async claim() {
      await askToPay(world)
      return true
    },
  }
  const first: (keyof typeof weights)[] = [...opening]

  while (!world.isEnding || first.length > 0) {
    await world.pause(rng.int(gap.from, gap.to))
    const what = first[0] ?? rng.weighted(weights)
    try {
      const hasHappened = await acts[what]()
      world.count(`${hasHappened ? 'disturbed' : 'not the time'}: ${what}`)
      if (hasHappened) first.shift()
    } catch (error) {
      first.shift()
      world.violate(undefined, `${what} failed: ${(error as Error).stack}`)
      // On a chain that is broken nothing comes to an end.
      if (what === 'reorganise') break
    }
  }
  proxy.lie = undefined
  proxy.isDown = false
}

/** Between two blocks, in seconds. */
export const blockSeconds = 1

/** Blocks. Less than what is taken for final. */
const deepest = 2n

/** Takes the newest blocks back; what was in them comes again, in other blocks, at once or later. */
async function reorganise(world: World, rng: Rng, depth: number): Promise<void> {
  const { testClient } = world.chain
  // A block that anvil mines meanwhile stays in its index, and not in its state.
  await testClient.setIntervalMining({ interval: 0 })
  try {
    await standStill(world)
    await replaceBlocks(world, rng, depth)
    await assertWhole(world)
  } finally {
    await testClient.setIntervalMining({ interval: blockSeconds })
  }
  await world.wallets.sendAgain()
}

/** A block may be in the making. */
async function standStill({ chain, pause }: World): Promise<void> {
  const number = () => chain.publicClient.getBlockNumber({ cacheTime: 0 })
  for (let before = await number(); ; ) {
    await pause(200)
    const now = await number()
    if (now === before) return
    before = now
  }
}

/** Without `anvil_reorg`, which leaves holes in the chain where transactions that it is to keep rest on some that it isn't. */
async function replaceBlocks(world: World, rng: Rng, depth: number): Promise<void> {
  const { publicClient, testClient } = world.chain
  const head = await publicClient.getBlockNumber({ cacheTime: 0 })
  const kept: Hex[] = []
  for (let number = head - BigInt(depth) + 1n; number <= head; number += 1n) {
    const { transactions } = await publicClient.getBlock({ blockNumber: number })
    for (const hash of transactions) {
      const params = [hash]
      const raw = await publicClient.request({ method: 'eth_getRawTransactionByHash', params } as never)
      if (raw && rng.chance(0.4)) kept.push(raw)
    }
  }
  await publicClient.request({ method: 'anvil_rollback', params: [depth] } as never)
  for (const serializedTransaction of kept) {
    // It may rest on one that isn't kept.
    await publicClient.sendRawTransaction({ serializedTransaction }).catch(() => {})
  }
  await testClient.mine({ blocks: depth })
}

/** @throws When anvil has lost one of its newest blocks: nobody could follow that chain. */
async function assertWhole({ chain: { publicClient } }: World): Promise<void> {
  let child = await publicClient.getBlock()
  for (let count = 0; count < 8 && child.number > 0n; count += 1) {
    const parent = await publicClient.getBlock({ blockNumber: child.number - 1n })
    if (parent.hash !== child.parentHash) throw new Error(`Block ${child.number} has no parent on its chain.`)
    child = parent
  }
}

/**
 * How far time may leap, in seconds: no channel with something to claim is taken further than a third into the margin before its
 * expiry, in which the settlement has to have had its chance. What is lost beyond that would be lost rightly.
 */
async function mayLeap(world: World, path: string): Promise<number> {
  const now = world.now() / 1_000
  const dust = Usdc.parse(settings.minPayout)
  let most = Number.POSITIVE_INFINITY
  for (const state of await readLedger(path)) {
    if (state.status === 'closed') continue
    const { expiry, margin } = expiryOf(state)
    const isOver = now >= expiry - margin && state.charged - state.claimed < dust
    const isRunning = (world.tabs.get(state.channelId)?.running ?? 0n) > 0n
    if (!isOver || isRunning) most = Math.min(most, expiry - (2 * margin) / 3 - now)
  }
  return Math.floor(most)
}

/** A node that limits its use, is slow, or takes a transaction and doesn't say so. */
function interfere(rng: Rng): RpcProxy['lie'] {
  return async (question: RpcQuestion, ask: () => Promise<RpcAnswer>) => {
    if (rng.chance(0.01)) return { error: { code: -32_005, message: 'limit exceeded' } }
    if (rng.chance(0.03)) await new Promise((resolve) => setTimeout(resolve, rng.int(50, 800)))
    const answer = await ask()
    const isLost = question.method === 'eth_sendRawTransaction' && rng.chance(0.15)
    return isLost ? { error: { code: -32_000, message: 'the connection was lost' } } : answer
  }
}
