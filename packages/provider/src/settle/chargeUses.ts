/** What became of EIP-3009 authorizations, found among the token's events. */
import {
  type Address,
  type Hex,
  type PublicClient,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import { createBlockWindow } from './blockWindow.ts'
import { asked } from './chainReads.ts'
import { type Authorization, authorizationAbi, hasPaid } from './chargeEvents.ts'

/**
 * The transaction that has paid, whoever sent it; `spent`: it can pay no more; `hidden`: it was used, and the node doesn't have the
 * transaction, or forgot it.
 */
export type ChargeUse = TransactionReceipt | 'spent' | 'hidden' | undefined

export type ChargeUses = {
  /**
   * Looks no further than the authorization was good for.
   * @param charge.block A block in which it wasn't used yet.
   * @param charge.txHash A transaction that may have paid it: looked at first.
   * @param head The newest block to look at; by default the newest.
   * @throws {ChainUnavailableError}
   */
  find(charge: Authorization & { block: bigint; txHash?: Hex | undefined }, head?: bigint): Promise<ChargeUse>
}

/** The node that was asked for the head may have been ahead of the one that is asked for events. */
const skewBlocks = 64n

export function createChargeUses({ client, token }: { client: PublicClient; token: Address }): ChargeUses {
  const window = createBlockWindow()

  async function receiptOf(hash: Hex): Promise<TransactionReceipt | undefined> {
    try {
      return await client.getTransactionReceipt({ hash })
    } catch (error) {
      if (error instanceof TransactionReceiptNotFoundError) return undefined
      throw new ChainUnavailableError(error)
    }
  }

  /** The events of the blocks from and to, and when the last of those was made, Unix seconds. */
  async function readRange({ from, nonce }: Authorization, fromBlock: bigint, toBlock: bigint) {
    const { timestamp } = await asked(() => client.getBlock({ blockNumber: toBlock }))
    const range = { address: token, abi: authorizationAbi, fromBlock, toBlock } as const
    const args = { authorizer: from, nonce }
    const [used, canceled] = await Promise.all([
      client.getContractEvents({ ...range, eventName: 'AuthorizationUsed', args }),
      client.getContractEvents({ ...range, eventName: 'AuthorizationCanceled', args }),
    ])
    return { used, canceled, timestamp, toBlock }
  }

  return {
    async find(charge, head) {
      const { block, txHash, validBefore } = charge
      const known = txHash && (await receiptOf(txHash))
      if (known && hasPaid(known, charge, token)) return known
      const until = head ?? (await asked(() => client.getBlockNumber({ cacheTime: 0 })))
      let next = block > skewBlocks ? block - skewBlocks : 0n
      while (next <= until) {
        const { used, canceled, timestamp, toBlock } = await window.read(next, until, (from, to) =>
          readRange(charge, from, to),
        )
        const [use] = used
        if (use) {
          const receipt = await receiptOf(use.transactionHash)
          if (!receipt) return 'hidden'
          return hasPaid(receipt, charge, token) ? receipt : 'spent'
        }
        if (canceled.length > 0) return 'spent'
        if (timestamp >= validBefore) return undefined
        next = toBlock + 1n
      }
      return undefined
    },
  }
}
