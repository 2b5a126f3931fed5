/** Reads the contract's events in as many blocks at once as the node takes. */
import type { Deployment } from '@drain/core'
import type { Address, PublicClient } from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import { createBlockWindow } from './blockWindow.ts'
import type * as Cursor from './Cursor.ts'
import { asked } from './chainReads.ts'
import { type ContractLog, readLogs } from './contractLogs.ts'

/** `timestamp`: Unix seconds. */
export type Block = Cursor.Block & { timestamp: bigint }

/** `seen`: the last block that was read before, `head`: the newest when the round began. */
type Range = { from: bigint; until: bigint; seen: Cursor.Block; head: Block }

export type LogWindows = {
  /** A block, or the newest. @throws {ChainUnavailableError} */
  block(number?: bigint): Promise<Block>
  /**
   * The events from a block on, and the last block that they were read of: at most `until`.
   * @throws {ChainUnavailableError} also when the chain changed meanwhile
   */
  read(range: Range): Promise<[ContractLog[], Cursor.Block]>
}

export function createLogWindows(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  provider: Address
}): LogWindows {
  const { client } = options
  const window = createBlockWindow()

  async function block(number?: bigint): Promise<Block> {
    const { hash, timestamp, ...found } = await asked(() =>
      client.getBlock(number === undefined ? { blockTag: 'latest' } : { blockNumber: number }),
    )
    return { number: found.number, hash, timestamp }
  }

  /**
   * The events of the blocks from and to, with the last block. The node must have had that block before and after: one that is
   * behind answers with nothing where it has nothing. And what was seen before must still be on the same chain.
   */
  async function readWindow(
    from: bigint,
    to: bigint,
    { seen, head }: Range,
  ): Promise<[ContractLog[], Cursor.Block]> {
    const last = to === head.number ? head : await block(to)
    const logs = await readLogs(options, from, to)
    const after = await block(to)
    const isOther = logs.some((one) => one.blockNumber === to && one.blockHash !== after.hash)
    // The round began with the head on the chain of what was seen: while the head is there, so is that.
    const isApart = to !== head.number && (await block(seen.number)).hash !== seen.hash
    if (after.hash !== last.hash || isOther || isApart)
      throw new ChainUnavailableError('the chain changed while it was read')
    return [logs, last]
  }

  return {
    block,
    read: (range) => window.read(range.from, range.until, (from, to) => readWindow(from, to, range)),
  }
}
