/** Which transaction took a nonce of an account, found by when it was used: nodes have no question for it. */
import type { Address, Hex, PublicClient } from 'viem'

/**
 * The transaction under `nonce`, which was used in a block up to `until`.
 * @throws What the node says of blocks whose state it doesn't have: it is behind, or has forgotten it.
 */
export async function nonceTaker(
  client: PublicClient,
  { account, nonce, until }: { account: Address; nonce: number; until: bigint },
): Promise<Hex | undefined> {
  const isUsedAt = async (blockNumber: bigint) =>
    (await client.getTransactionCount({ address: account, blockNumber })) > nonce
  if (!(await isUsedAt(until))) throw new Error(`Nonce ${nonce} is not used in block ${until}.`)
  // It was used in a block above `unused`, up to `used`. Backwards in growing steps: nodes have the latest blocks.
  let used = until
  let unused = -1n
  for (let step = 1n; used > 0n; step *= 2n) {
    const before = until > step ? until - step : 0n
    if (!(await isUsedAt(before))) {
      unused = before
      break
    }
    used = before
  }
  while (used - unused > 1n) {
    const middle = (used + unused) / 2n
    if (await isUsedAt(middle)) used = middle
    else unused = middle
  }
  const { transactions } = await client.getBlock({ blockNumber: used, includeTransactions: true })
  const isIt = (one: { from: Address; nonce: number }) =>
    one.nonce === nonce && one.from.toLowerCase() === account.toLowerCase()
  return transactions.find(isIt)?.hash
}
