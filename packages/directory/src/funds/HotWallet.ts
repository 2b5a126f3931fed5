/** The wallet that gives: what it has, what it signs, and what became of that. It remembers nothing. */
import {
  type Address,
  createPublicClient,
  defineChain,
  encodeFunctionData,
  erc20Abi,
  type Hex,
  http,
  keccak256,
  parseTransaction,
  TransactionReceiptNotFoundError,
} from 'viem'
import type { ChainSettings, FundSettings } from '../settings.ts'
import type { GrantTransaction, Part } from './Grant.ts'

export type Gift = { to: Address; part: Part; amount: bigint }

/** A transaction as it is sent. */
export type SignedForm = { hash: Hex; raw: Hex }

/**
 * What the chain has made of a transaction, and of which form. `waiting`: no block has it. `mined`: a block has it that is not deep
 * enough. `replaced`: the nonce belongs to another transaction, in a block that is deep enough.
 */
export type Outcome = { state: 'waiting' | 'mined' | 'done' | 'reverted' | 'replaced'; hash: Hex }

export type HotWallet = {
  /** Chain id and address. */
  id: string
  balances(address: Address): Promise<{ gas: bigint; usdc: bigint }>
  /** What the wallet itself has. */
  own(): Promise<{ gas: bigint; usdc: bigint }>
  /** Whether the chain would take a gift now, without sending it. */
  isTaken(gift: Gift): Promise<boolean>
  /** Wei that the fees of a gift may come to. */
  fee(part: Part): Promise<bigint>
  /** The first nonce that the node knows no transaction of. */
  nextNonce(): Promise<number>
  sign(gift: Gift, nonce: number): Promise<SignedForm>
  /** The same for a higher fee, which replaces it wherever it waits; `undefined` where that is more than ever may be paid. */
  raise(raw: Hex): Promise<SignedForm | undefined>
  /** The newest block, and the nonce of the wallet that is mined next. */
  head(): Promise<{ block: bigint; nonce: number }>
  /** What the node says against it, or `undefined`. That it has it already is no objection. */
  send(raw: Hex): Promise<string | undefined>
  outcome(transaction: Pick<GrantTransaction, 'sender' | 'nonce' | 'hash' | 'raws'>): Promise<Outcome>
  /** Why the token refuses a transfer, as it says now. */
  refusal(gift: Gift): Promise<string>
}

/** More than either takes; what is not used isn't paid. A gift is tried with it before it is promised. */
const gasLimit = { gas: 60_000n, usdc: 150_000n } as const

/** Blocks on top of the one in which another transaction took a nonce, before ours is signed anew. */
const leastDepth = 16

export function createHotWallet(
  { account, chainId }: Pick<FundSettings, 'account' | 'chainId'>,
  { deployment, rpcUrl }: ChainSettings,
  /** `maxGasPrice`: wei per gas that is never exceeded. */
  { confirmations, maxGasPrice }: { confirmations: number; maxGasPrice: bigint },
): HotWallet {
  const chain = defineChain({
    ...{ id: chainId, name: `chain ${chainId}`, rpcUrls: { default: { http: [rpcUrl] } } },
    nativeCurrency: { name: 'Coin', symbol: 'COIN', decimals: 18 },
  })
  const client = createPublicClient({ chain, transport: http(rpcUrl, { timeout: 15_000 }), cacheTime: 0 })
  const { token } = deployment
  const { address: sender } = account

  const balances = async (address: Address) => {
    const [gas, usdc] = await Promise.all([
      client.getBalance({ address }),
      client.readContract({ address: token, abi: erc20Abi, functionName: 'balanceOf', args: [address] }),
    ])
    return { gas, usdc }
  }

  const callOf = ({ to, part, amount }: Gift) =>
    part === 'gas'
      ? { to, value: amount, gas: gasLimit.gas }
      : {
          ...{ to: token, value: 0n, gas: gasLimit.usdc },
          data: encodeFunctionData({ abi: erc20Abi, functionName: 'transfer', args: [to, amount] }),
        }

  /** Room for the price to double twice: one that is too cheap keeps all later ones waiting until it is raised. */
  const fees = async (): Promise<Fees> => {
    const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
    return bounded({ maxFeePerGas: maxFeePerGas * 4n, maxPriorityFeePerGas }, maxGasPrice)
  }

  async function receiptOf(hashes: readonly Hex[]) {
    for (const hash of hashes) {
      try {
        return await client.getTransactionReceipt({ hash })
      } catch (error) {
        if (!(error instanceof TransactionReceiptNotFoundError)) throw error
      }
    }
    return undefined
  }

  async function signed(transaction: Parameters<typeof account.signTransaction>[0]): Promise<SignedForm> {
    const raw = await account.signTransaction(transaction)
    return { raw, hash: keccak256(raw) }
  }

  return {
    id: `${chainId}:${sender.toLowerCase()}`,
    balances,
    own: () => balances(sender),
    async isTaken(gift) {
      try {
        await client.call({ account: sender, ...callOf(gift) })
        return true
      } catch (error) {
        if (isRevert(error)) return false
        throw error
      }
    },
    async fee(part) {
      return (await fees()).maxFeePerGas * gasLimit[part]
    },
    nextNonce: () => client.getTransactionCount({ address: sender, blockTag: 'pending' }),
    async sign(gift, nonce) {
      return signed({ ...{ type: 'eip1559', chainId, nonce }, ...callOf(gift), ...(await fees()) })
    },
    async raise(raw) {
      const { to, value, data, gas, nonce, ...was } = parseTransaction(raw)
      const maxFeePerGas = raised(was.maxFeePerGas)
      const maxPriorityFeePerGas = raised(was.maxPriorityFeePerGas)
      if (maxFeePerGas > maxGasPrice) return undefined
      const now = await fees()
      return signed({
        ...{ type: 'eip1559', chainId, nonce, to, value, data, gas },
        maxFeePerGas: larger(maxFeePerGas, now.maxFeePerGas),
        maxPriorityFeePerGas: larger(maxPriorityFeePerGas, now.maxPriorityFeePerGas),
      })
    },
    async head() {
      const block = await client.getBlockNumber({ cacheTime: 0 })
      return { block, nonce: await client.getTransactionCount({ address: sender, blockNumber: block }) }
    },
    async send(raw) {
      try {
        await client.sendRawTransaction({ serializedTransaction: raw })
        return undefined
      } catch (error) {
        const message = wordsOf(error)
        return /already known|already imported|known transaction/i.test(message) ? undefined : message
      }
    },
    async outcome({ sender: from, nonce, hash, raws }) {
      const waiting = { state: 'waiting', hash } as const
      const [ofChain, address = ''] = from.split(':')
      if (ofChain !== String(chainId)) return waiting
      const head = await client.getBlockNumber({ cacheTime: 0 })
      // The latest pays most, so it is the likeliest.
      const hashes = raws.map((raw) => keccak256(raw)).reverse()
      const receipt = await receiptOf(hashes)
      if (receipt) {
        const isDeep = head - receipt.blockNumber + 1n >= BigInt(confirmations)
        const state = !isDeep ? 'mined' : receipt.status === 'success' ? 'done' : 'reverted'
        return { state, hash: receipt.transactionHash }
      }
      // Nothing may be given twice because one of a provider's nodes is behind: the nonce was used long ago, and still nobody knows of ours.
      const blockNumber = head - BigInt(Math.max(confirmations, leastDepth))
      if (blockNumber < 0n) return waiting
      const count = await client.getTransactionCount({ address: address as Address, blockNumber })
      return count > nonce && !(await receiptOf(hashes)) ? { state: 'replaced', hash } : waiting
    },
    async refusal(gift) {
      try {
        await client.call({ account: sender, ...callOf(gift) })
        return 'the chain refused it'
      } catch (error) {
        return wordsOf(error)
      }
    },
  }
}

type Fees = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }

function bounded({ maxFeePerGas, maxPriorityFeePerGas }: Fees, most: bigint): Fees {
  const fee = smaller(maxFeePerGas, most)
  return { maxFeePerGas: fee, maxPriorityFeePerGas: smaller(maxPriorityFeePerGas, fee) }
}

/** Nodes ask for a tenth more at least, of both. */
const raised = (fee = 0n) => (fee * 9n) / 8n + 1n
const larger = (one: bigint, other: bigint) => (one > other ? one : other)
const smaller = (one: bigint, other: bigint) => (one < other ? one : other)

function wordsOf(error: unknown): string {
  const { details, shortMessage, message } = error as {
    details?: string
    shortMessage?: string
    message?: string
  }
  return (details || shortMessage || message || 'unknown').split('\n')[0]?.slice(0, 200) ?? ''
}

/** Whether the chain refuses, rather than that the node isn't reached. */
function isRevert(error: unknown): boolean {
  return /revert|out of gas|insufficient|exceeds/i.test(wordsOf(error))
}
