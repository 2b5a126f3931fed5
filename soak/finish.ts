/** The end of a run: everything that was earned is claimed, every channel is closed, and nothing waits for a block any more. */
import { createJournal, isSettled } from '../packages/provider/src/settle/Journal.ts'
import type { Provider } from './disturb.ts'
import { askToClose, close, cooperativeClose, onChain } from './leave.ts'
import { readLedger, withBooks } from './ledgerFile.ts'
import type { Rng } from './Rng.ts'
import { settings } from './settings.ts'
import type { Tab } from './Tab.ts'
import type { World } from './World.ts'

/** What the operator does to have everything claimed now. */
export async function askToPay(world: World): Promise<void> {
  const headers = { Authorization: `Bearer ${settings.adminToken}` }
  const signal = AbortSignal.timeout(90_000)
  await fetch(`${world.url}/v1/admin/claim?force=true`, { method: 'POST', headers, signal })
    .then((response) => response.text())
    .catch(() => {})
}

/** Throws when it doesn't come to that in time. */
export async function finish(world: World, provider: Provider, rng: Rng): Promise<void> {
  await until(world, 'everything is claimed', async () => {
    const owing = (await readLedger(provider.path)).filter(
      ({ status, charged, claimed }) => status !== 'closed' && charged > claimed,
    )
    if (owing.length === 0 && (await unsettled(world, provider)) === 0) return true
    await askToPay(world)
    return false
  })
  const left = await openTabs(world)
  // The first and some others ask for it; the rest wait for the expiry, and nobody needs the provider for that.
  const asking = left.filter((_, index) => index % 3 === 0)
  await inParallel(asking, async (tab) => {
    const answer = await askToClose(world, tab)
    if (answer && !answer.txHash && rng.chance(0.7)) await cooperativeClose(world, tab, answer)
  })
  await until(
    world,
    'what was asked to be closed is settled',
    async () => (await unsettled(world, provider)) === 0,
  )
  const expiring = await openTabs(world)
  const last = Math.max(0, ...expiring.map(({ expiry }) => Number(expiry)))
  await provider.leap(Math.max(1, Math.ceil(last - world.now() / 1_000) + 5))
  await until(world, 'every channel is closed, here and there', async () => {
    await inParallel(await openTabs(world), (tab) => close(world, tab))
    const states = await readLedger(provider.path)
    const isClosed = states.every(({ status }) => status === 'closed')
    return isClosed && (await openTabs(world)).length === 0 && (await unsettled(world, provider)) === 0
  })
}

/** Transactions that aren't final. */
function unsettled(world: World, { path }: Provider): Promise<number> {
  return withBooks(path, async ({ ledger }) => {
    let count = 0
    for await (const entry of createJournal(ledger.notebook, world.provider).all())
      if (!isSettled(entry)) count += 1
    return count
  })
}

/** Channels that are still on chain, with their expiries. Nothing is taken back any more. */
async function openTabs(world: World): Promise<(Tab & { expiry: bigint })[]> {
  const found: (Tab & { expiry: bigint })[] = []
  await inParallel([...world.tabs.values()], async (tab) => {
    const channel = await onChain(world, tab)
    if (channel) found.push(Object.assign(tab, channel))
  })
  return found
}

async function inParallel<item>(items: readonly item[], work: (item: item) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: 10 }, worker))
}

const patienceMs = 300_000

async function until(world: World, what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`It did not come to this: ${what}.`)
    await world.pause(1_000)
  }
}
