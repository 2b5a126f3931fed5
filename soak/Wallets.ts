/** The consumers' transactions. Like every wallet's node, it sends those again that a reorganisation took away. */
import type { LocalChain } from '@drain/consumer/testing'
import { type Hex, keccak256, type LocalAccount, type TransactionReceipt } from 'viem'

export type Wallets = {
  /** Signs and sends a call of a contract. Resolves with its hash. */
  send(account: LocalAccount, to: Hex, data: Hex): Promise<Hex>
  /** Waits for a receipt. `undefined` when `isOver` says that nobody waits any more. */
  receipt(hash: Hex, isOver?: () => boolean): Promise<TransactionReceipt | undefined>
  /** Sends everything again that isn't in a block (any more). */
  sendAgain(): Promise<void>
}

type Sent = { hash: Hex; raw: Hex; from: Hex; nonce: number; block: bigint | undefined }

/** How deep a transaction must be to be forgotten here. */
const forgottenAt = 8n

export function createWallets(chain: LocalChain): Wallets {
  const nonces = new Map<Hex, number>()
  const sent = new Map<Hex, Sent>()
  const { publicClient, testClient, chainId } = chain

  function push({ raw }: Sent): Promise<unknown> {
    return publicClient.sendRawTransaction({ serializedTransaction: raw }).catch(() => {})
  }

  /** Anvil goes on giving receipts out of blocks that it has replaced. */
  async function receiptOf(hash: Hex): Promise<TransactionReceipt | undefined> {
    try {
      const receipt = await publicClient.getTransactionReceipt({ hash })
      const block = await publicClient.getBlock({ blockNumber: receipt.blockNumber })
      return block.hash === receipt.blockHash ? receipt : undefined
    } catch {
      return undefined
    }
  }

  return {
    async send(account, to, data) {
      const nonce = nonces.get(account.address) ?? 1 // the first one was the approval
      nonces.set(account.address, nonce + 1)
      const fees = { gas: 400_000n, maxFeePerGas: 50_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }
      const raw = await account.signTransaction({ chainId, to, data, nonce, ...fees })
      const one: Sent = { hash: keccak256(raw), raw, from: account.address, nonce, block: undefined }
      sent.set(one.hash, one)
      await push(one)
      return one.hash
    },
    async receipt(hash, isOver = () => false) {
      for (;;) {
        const receipt = await receiptOf(hash)
        if (receipt || isOver()) return receipt
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
    },
    async sendAgain() {
      const head = await publicClient.getBlockNumber()
      const all = [...sent.values()].sort((a, b) => a.nonce - b.nonce)
      await Promise.all(
        all.map(async (one) => {
          one.block = (await receiptOf(one.hash))?.blockNumber
          if (one.block !== undefined && head - one.block > forgottenAt) sent.delete(one.hash)
        }),
      )
      const gone = all.filter(({ block }) => block === undefined)
      // One whose predecessor was mined in the very moment it came to the pool waits there for ever, isn't taken a second time, and
      // isn't dropped by its hash.
      for (const from of new Set(gone.map((one) => one.from)))
        await testClient
          .request({ method: 'anvil_removePoolTransactions', params: [from] } as never)
          .catch(() => {})
      for (const one of gone) await push(one)
    },
  }
}
