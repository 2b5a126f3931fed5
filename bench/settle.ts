/**
 * What it costs and how long it takes to turn charges into money: gas per channel, channels per minute, and from the start of a
 * process to its first claim. `node bench/settle.ts [--quick]`. How and why: `README.md`.
 */
import { pathToFileURL } from 'node:url'
import type { LocalChain } from '@drain/consumer/testing'
import { drainChannelAbi, Usdc } from '@drain/core'
import { sqliteLedger } from '@drain/provider/sqlite'
import type { Hex } from 'viem'
import { median } from './median.ts'
import { charge, openChannels } from './openChannels.ts'
import { recovery } from './recovery.ts'
import { table } from './table.ts'
import { owed, providerOn, withPlace } from './withPlace.ts'

type Figures = Record<string, number>

export async function run({ quick = false }: { quick?: boolean }): Promise<Figures> {
  const figures = {
    ...(await gas()),
    ...(await throughput(quick ? 200 : 1_000, quick ? 1 : 3)),
    ...(await recovery(quick ? 10_000 : 100_000, quick ? 1 : 5)),
  }
  console.log()
  table(
    ['figure', ''],
    Object.entries(figures).map(([key, value]) => [key, String(Math.round(value))]),
  )
  return figures
}

/** One batch of fifty, settled as an operator's claim of everything would. */
function gas(): Promise<Figures> {
  return withPlace(async ({ chain, path }) => {
    const channels = await openChannels(chain, 50, Usdc.parse('20'))
    const provider = providerOn(chain, path, { settle: false })
    try {
      await charge(chain, provider.ledger, { channels, total: owed, nonce: 100n })
      const { claimed } = await provider.settlement.claimAll(1n)
      const [hash, ...others] = new Set(claimed.map(({ txHash }) => txHash))
      if (!hash || others.length > 0 || claimed.length !== channels.length)
        throw new Error(`${claimed.length} channels were claimed, not all in one transaction.`)
      const { gasUsed } = await chain.publicClient.getTransactionReceipt({ hash })
      return { settle_gas_per_channel: Number(gasUsed) / channels.length }
    } finally {
      await provider.close()
    }
  })
}

/** Channels that are all due when a provider starts, until the last claim is in a block. */
function throughput(count: number, rounds: number): Promise<Figures> {
  return withPlace(async ({ chain, path, identity }) => {
    const { publicClient, testClient } = chain
    const rates: number[] = []
    const rows: string[][] = []
    const channels = await openChannels(chain, count, owed * BigInt(rounds + 1))
    for (let round = 1; round <= rounds; round++) {
      const ledger = sqliteLedger(path)(identity)
      await charge(chain, ledger, { channels, total: owed * BigInt(round), nonce: BigInt(round) })
      await ledger.close()
      await testClient.setAutomine(false)
      await testClient.setIntervalMining({ interval: 1 })
      const from = (await publicClient.getBlockNumber()) + 1n
      const began = performance.now()
      const provider = providerOn(chain, path)
      const transactions = await mined(chain, count, from)
      const seconds = (performance.now() - began) / 1_000
      await provider.close()
      await testClient.setIntervalMining({ interval: 0 })
      await testClient.setAutomine(true)
      rates.push((count / seconds) * 60)
      rows.push([String(round), String(count), String(transactions), seconds.toFixed(2)])
    }
    table(['round', 'channels', 'transactions', 'seconds'], rows)
    return { settle_channels_per_minute: median(rates) }
  })
}

/** Waits until so many claims are in blocks; returns in how many transactions they were. */
async function mined({ publicClient, deployment }: LocalChain, count: number, from: bigint): Promise<number> {
  const transactions = new Set<Hex>()
  let claims = 0
  for (let next = from; claims < count; ) {
    const head = await publicClient.getBlockNumber()
    for (; next <= head; next++) {
      const logs = await publicClient.getContractEvents({
        ...{ address: deployment.contract, abi: drainChannelAbi, eventName: 'ChannelClaimed' },
        ...{ fromBlock: next, toBlock: next },
      })
      claims += logs.length
      for (const { transactionHash } of logs) transactions.add(transactionHash)
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return transactions.size
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  await run({ quick: process.argv.includes('--quick') })
