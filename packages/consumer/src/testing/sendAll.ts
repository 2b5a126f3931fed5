import type { Address, Client, Hex } from 'viem'
import { sendTransaction, waitForTransactionReceipt } from 'viem/actions'

/** Sends transactions of an unlocked account in this order, and waits for all of them. */
export async function sendAll(
  client: Client,
  account: Address,
  transactions: readonly { to?: Address; data: Hex }[],
): Promise<void> {
  const hashes: Hex[] = []
  for (const transaction of transactions) {
    // Given gas, the node doesn't estimate against a state that lacks the transactions before this one.
    hashes.push(await sendTransaction(client, { account, chain: null, gas: 8_000_000n, ...transaction }))
  }
  const receipts = await Promise.all(hashes.map((hash) => waitForTransactionReceipt(client, { hash })))
  const failed = receipts.findIndex(({ status }) => status !== 'success')
  if (failed >= 0) throw new Error(`transaction ${failed + 1} of the local chain's set-up reverted`)
}
