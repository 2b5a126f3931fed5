import type { LocalChain } from '@drain/consumer/testing'
import { drainChannelAbi } from '@drain-protocol/sdk'
import { type Address, decodeFunctionData, encodeFunctionData, erc20Abi, parseEventLogs } from 'viem'

/** What the chain says about two parties: counted from blocks and receipts, not from what anybody reported. */
export type ChainBooks = {
  /** Transactions that the parties sent. */
  transactions: number
  /** The functions they called. */
  names: string[]
  gasUsed: bigint
  /** Base units. */
  deposited: bigint
  claimed: bigint
  refunded: bigint
  /** Gas of one plain USDC transfer between the parties. */
  gasOfTransfer: bigint
}

export async function readLedgerOfChain(
  chain: LocalChain,
  parties: readonly [Address, Address],
): Promise<ChainBooks> {
  const { publicClient, deployment } = chain
  const isParty = (address: Address) => parties.some((party) => party.toLowerCase() === address.toLowerCase())
  const books = {
    transactions: 0,
    names: [] as string[],
    gasUsed: 0n,
    deposited: 0n,
    claimed: 0n,
    refunded: 0n,
  }
  const head = await publicClient.getBlockNumber()
  for (let blockNumber = 1n; blockNumber <= head; blockNumber += 1n) {
    const { transactions } = await publicClient.getBlock({ blockNumber, includeTransactions: true })
    for (const { hash, from, input } of transactions) {
      if (!isParty(from)) continue
      const receipt = await publicClient.getTransactionReceipt({ hash })
      if (receipt.status !== 'success') throw new Error(`Transaction ${hash} failed.`)
      books.transactions += 1
      books.gasUsed += receipt.gasUsed
      books.names.push(
        decodeFunctionData({ abi: [...drainChannelAbi, ...erc20Abi], data: input }).functionName,
      )
      for (const event of parseEventLogs({ abi: drainChannelAbi, logs: receipt.logs })) {
        if (event.address.toLowerCase() !== deployment.contract.toLowerCase()) continue
        if (event.eventName === 'ChannelOpened') books.deposited += event.args.deposit
        if (event.eventName === 'ChannelClaimed') books.claimed += event.args.amount
        if (event.eventName === 'ChannelClosed') books.refunded += event.args.refund
      }
    }
  }
  const [account, to] = parties
  const gasOfTransfer = await publicClient.estimateGas({
    account,
    to: deployment.token,
    data: encodeFunctionData({ abi: erc20Abi, functionName: 'transfer', args: [to, 1n] }),
  })
  return { ...books, gasOfTransfer }
}
