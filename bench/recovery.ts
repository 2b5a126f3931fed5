/** How long it takes from the start of a process that settles, with many channels in store, to its first claim. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { LocalChain } from '@drain/consumer/testing'
import type { ChannelFacts } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import type { Address } from 'viem'
import * as Account from '../packages/provider/src/ledger/Account.ts'
import { type RpcProxy, startRpcProxy } from '../packages/provider/test/RpcProxy.ts'
import { fillSqlite } from './fillSqlite.ts'
import { median } from './median.ts'
import { charge, openChannels } from './openChannels.ts'
import { placeOf } from './payers/drain.ts'
import { table } from './table.ts'
import { usedAccount } from './usedAccounts.ts'
import { owed, providerOn, withPlace } from './withPlace.ts'

/** How many of the channels in the store are real, and due. */
const due = 100

/** From the start of `drain-provider settle` to its first transaction at the node. */
export function recovery(count: number, rounds: number): Promise<Record<string, number>> {
  return withPlace(async ({ chain, path, identity }) => {
    const channels = await openChannels(chain, due, owed * BigInt(rounds + 1))
    // Makes the ledger, and begins to follow the chain.
    const before = providerOn(chain, path, { settle: {} })
    await before.settler.run()
    await before.close()
    fillSqlite(path, identity, mixed(count, channels))
    const proxy = await startRpcProxy(chain.rpcUrl)
    const times: Record<'node' | 'opened' | 'claimed', number>[] = []
    try {
      for (let round = 1; round <= rounds; round++) {
        const ledger = sqliteLedger(path)(identity)
        await charge(chain, ledger, { channels, total: owed * BigInt(round), nonce: BigInt(round) })
        await ledger.close()
        times.push({ node: await nodeAlone(), ...(await start(chain, path, proxy)) })
      }
    } finally {
      await proxy.close()
    }
    console.log()
    table(
      ['round', 'Node alone, ms', 'first question to the node, ms', 'first claim, ms'],
      times.map(({ node, opened, claimed }, index) => [
        String(index + 1),
        ...[node, opened, claimed].map((ms) => ms.toFixed(0)),
      ]),
    )
    return { recovery_ms: median(times.map(({ claimed }) => claimed)) }
  })
}

/** Starts the command and stops it after its first claim. Milliseconds until it asked the node anything, and claimed. */
async function start(
  chain: LocalChain,
  path: string,
  proxy: RpcProxy,
): Promise<{ opened: number; claimed: number }> {
  let opened: number | undefined
  const sent = new Promise<number>((resolve) => {
    proxy.lie = ({ method }, ask) => {
      const now = performance.now()
      opened ??= now
      if (method === 'eth_sendRawTransaction') resolve(now)
      return ask()
    }
  })
  const began = performance.now()
  const child = spawn(process.execPath, [cli, 'settle', '--ledger', path, '--rpc', proxy.url], {
    env: { ...process.env, NODE_ENV: 'production', DRAIN_PRIVATE_KEY: placeOf(chain).providerKey },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(child, 'close')
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  const died = ended.then(() => {
    throw new Error(`drain-provider settle ended before it claimed:\n${said}`)
  })
  const claimed = await Promise.race([sent, died])
  child.kill('SIGTERM')
  await ended
  return { opened: (opened ?? claimed) - began, claimed: claimed - began }
}

const cli = fileURLToPath(new URL('../packages/provider/dist/cli.js', import.meta.url))

/** How long Node takes for nothing, from its start to its end. */
async function nodeAlone(): Promise<number> {
  const began = performance.now()
  await once(spawn(process.execPath, ['-e', ''], { stdio: 'ignore' }), 'close')
  return performance.now() - began
}

/**
 * A store after some months: real channels, evenly among others of which half owe less than the threshold, a tenth expired owing
 * dust, and the rest owe nothing.
 */
function* mixed(count: number, channels: readonly ChannelFacts[]): Generator<Account.Account> {
  const now = Date.now()
  const each = Math.floor(count / channels.length)
  for (let index = 0; index < count; index++) {
    const channel = index % each === each - 1 ? channels[Math.floor(index / each)] : undefined
    yield channel ? Account.open(channel, now) : inSomeState(usedAccount(index, providerOf(channels)), index)
  }
}

const providerOf = ([channel]: readonly ChannelFacts[]): Address => channel?.provider ?? '0x'

function inSomeState(account: Account.Account, index: number): Account.Account {
  const kind = index % 10
  const { charged } = account
  if (kind < 5) return account
  if (kind === 5)
    return { ...account, expiry: account.firstSeen - 3_600n, firstSeen: account.firstSeen - 86_400n }
  const claimed = { ...account, claimed: charged, accounted: charged, claiming: charged }
  return kind < 9 ? claimed : { ...claimed, status: 'closed', closedAt: account.firstSeen }
}
