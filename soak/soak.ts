/** One run: a provider and its consumers, disturbed for a while, and the balance of the books. */
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLocalChain } from '@drain/consumer/testing'
import { Domain, Usdc } from '@drain/core'
import { encodeFunctionData, erc20Abi, type Hex, keccak256, maxUint256, toHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { startRpcProxy } from '../packages/provider/test/RpcProxy.ts'
import { type Balance, type Before, balance } from './books.ts'
import { consume } from './Consumer.ts'
import { blockSeconds, disturb, type Provider } from './disturb.ts'
import { finish } from './finish.ts'
import { createProcess } from './Process.ts'
import { createRng } from './Rng.ts'
import { type ProcessInput, settings } from './settings.ts'
import { createWallets } from './Wallets.ts'
import type { World } from './World.ts'

export type SoakOptions = {
  minutes: number
  seed: number
  consumers: number
  /** Milliseconds between two disturbances. */
  gap: { from: number; to: number }
  print: (line: string) => void
}

export type SoakReport = {
  /** Missing when the run did not come to its end. */
  balance: Balance | undefined
  counts: ReadonlyMap<string, number>
  /** What must not be. None: all is well. */
  problems: string[]
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { minutes, seed, print } = options
  const rng = createRng(seed)
  const folder = mkdtempSync(join(tmpdir(), 'drain-soak-'))
  print(`seed ${seed}, ${options.consumers} consumers, ${minutes} minutes, logs in ${folder}`)
  await using chain = await startLocalChain({ feeBps: settings.feeBps })
  const proxy = await startRpcProxy(chain.rpcUrl)
  const privateKey = generatePrivateKey()
  const account = privateKeyToAccount(privateKey)
  const consumers = Array.from({ length: options.consumers }, (_, index) =>
    privateKeyToAccount(keccak256(toHex(`soak ${seed} ${index}`))),
  )
  const before = await fund()

  let aheadMs = 0
  const counts = new Map<string, number>()
  const world: World = {
    chain,
    wallets: createWallets(chain),
    provider: account.address,
    domainSeparator: Domain.separator(chain.deployment),
    url: '',
    now: () => Date.now() + aheadMs,
    leaps: 0,
    tabs: new Map(),
    counts,
    count: (what) => void counts.set(what, (counts.get(what) ?? 0) + 1),
    violations: [],
    violate(tab, what) {
      world.violations.push({ channelId: tab?.channelId, what })
      tab?.note(`VIOLATION: ${what}`)
      // A run that is killed tells no stories at its end.
      const latest = tab ? tab.story.slice(-12).map((line) => `\n  ${line}`) : []
      print(`VIOLATION: ${tab ? `channel ${tab.channelId}: ` : ''}${what}${latest.join('')}`)
    },
    isEnding: false,
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }

  let port = 0
  const path = join(folder, 'ledger.db')
  const { contract, token } = chain.deployment
  const input = (): ProcessInput => ({ privateKey, path, rpcUrl: proxy.url, contract, token, port, aheadMs })
  const server = createProcess({
    name: 'server',
    logPath: join(folder, 'server.log'),
    input,
    onReady(at) {
      port = at
      world.url = `http://127.0.0.1:${at}`
    },
  })
  const worker = createProcess({ name: 'worker', logPath: join(folder, 'worker.log'), input })
  const provider: Provider = { server, worker, proxy, path, leap, synchronize }

  async function leap(seconds: number): Promise<void> {
    world.leaps += 1
    aheadMs += seconds * 1_000
    await synchronize()
  }

  /** Chain and clock, by the later of them: blocks that came fast are ahead, and a reorganisation takes their time back. */
  async function synchronize(): Promise<void> {
    const { timestamp } = await chain.publicClient.getBlock()
    const behind = Math.floor(world.now() / 1_000) - Number(timestamp)
    if (behind < 0) aheadMs -= behind * 1_000
    for (const process of [server, worker]) process.leap(aheadMs)
    if (behind < 2) return
    await chain.testClient.increaseTime({ seconds: behind })
    await chain.testClient.mine({ blocks: 1 })
  }

  async function fund(): Promise<Before> {
    const each = Usdc.parse('100000')
    await chain.testClient.setBalance({ address: account.address, value: native })
    const approve = encodeFunctionData({
      ...{ abi: erc20Abi, functionName: 'approve', args: [chain.deployment.contract, maxUint256] },
    })
    for (const consumer of consumers) {
      await chain.testClient.setBalance({ address: consumer.address, value: native })
      await chain.fund(consumer.address, each)
      const wallet = chain.walletClient(consumer)
      const hash = await wallet.sendTransaction({ to: chain.deployment.token, data: approve })
      await chain.publicClient.waitForTransactionReceipt({ hash })
    }
    await chain.testClient.setIntervalMining({ interval: blockSeconds })
    const had = new Map<Hex, bigint>(consumers.map(({ address }) => [address, each]))
    return { provider: 0n, fees: 0n, consumers: had, native }
  }

  const problems: string[] = []
  const progress = setInterval(() => print(lineOf(world, performance.now() - startedAt)), 5_000)
  const startedAt = performance.now()
  const resending = setInterval(() => world.wallets.sendAgain().catch(() => {}), 5_000)
  let result: Awaited<ReturnType<typeof balance>> | undefined
  try {
    await synchronize()
    await server.start()
    await worker.start()
    const working = consumers.map((consumer, index) =>
      consume(world, consumer, rng.fork(`consumer ${index}`)),
    )
    const disturbing = disturb(world, provider, rng.fork('disturbances'), options.gap)
    await world.pause(minutes * 60_000)
    world.isEnding = true
    print('the load ends')
    await Promise.all([...working, disturbing])
    print('settling everything')
    await finish(world, provider, rng.fork('end'))
  } catch (error) {
    problems.push(`the run failed: ${(error as Error).stack}`)
  } finally {
    clearInterval(progress)
    clearInterval(resending)
    for (const [name, process] of Object.entries({ server, worker })) {
      const code = await process.stop()
      if (code !== 0) problems.push(`the ${name} ended with ${code}`)
    }
  }
  try {
    result = await balance(world, { path, folder, before })
    problems.push(...result.mismatches)
    for (const [channelId, story] of result.stories) tellStory(channelId, story)
  } catch (error) {
    problems.push(`the books could not be read: ${(error as Error).stack}`)
  }
  await proxy.close()
  problems.push(...world.violations.map(({ channelId, what }) => `${channelId ?? ''} ${what}`))
  if (problems.length === 0) rmSync(folder, { recursive: true })
  return { balance: result?.balance, counts, problems }

  /** The whole of it goes to a file: in the middle of a long run it is long. */
  function tellStory(channelId: Hex, story: string[]): void {
    const lines = [...story]
    for (const name of ['server.log', 'worker.log']) {
      const log = readFileSync(join(folder, name), 'utf8').split('\n')
      lines.push(...log.filter((line) => line.includes(channelId)).map((line) => `${name}: ${line}`))
    }
    const file = createWriteStream(join(folder, `${channelId}.txt`))
    file.end(`${lines.join('\n')}\n`)
    print(`\nchannel ${channelId}:\n  ${lines.join('\n  ')}`)
  }
}

/** The native coin that every account begins with, in wei. */
const native = 10n ** 21n

function lineOf(world: World, ms: number): string {
  const tabs = [...world.tabs.values()]
  const told = tabs.reduce((sum, tab) => sum + tab.told, 0n)
  const requests = tabs.reduce((sum, tab) => sum + tab.requests, 0)
  const over = tabs.filter((tab) => tab.over).length
  const disturbed = [...world.counts]
    .filter(([what]) => what.startsWith('disturbed: '))
    .reduce((sum, [, count]) => sum + count, 0)
  const parts = [
    `${(ms / 1_000).toFixed(0)} s`,
    `${tabs.length} channels (${over} over)`,
    `${requests} requests`,
    `${Usdc.display(told)} told`,
    `${disturbed} disturbances`,
    `${world.leaps} leaps`,
    `${world.violations.length} violations`,
  ]
  return parts.join(', ')
}
