/** What transactions pay for gas, and how one that is not mined is made to pay more. */
import { DrainError } from '@drain/core'
import {
  type Hex,
  type LocalAccount,
  type PublicClient,
  parseTransaction,
  recoverTransactionAddress,
  type TransactionSerialized,
} from 'viem'

/** Wei per gas; one price where the chain has no base fee. */
export type Prices = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | { gasPrice: bigint }
export type Fees = Prices & { gas: bigint }

/** The account, from where it sends; a call, or a transfer of nothing. */
export type Request = { account: Hex; to: Hex; data?: Hex | undefined }

export type FeePolicy = {
  /**
   * For a transaction that is to be mined soon. `worth`: what is lost without it, in wei; half of that may go into gas, whatever
   * the price.
   * @throws {DrainError} `no_gas`, `gas_price`: nothing should be sent. And whatever the node fails with.
   */
  estimate(request: Request, worth?: bigint | undefined): Promise<Fees & { limit: bigint }>
  /** The most that may be paid per gas where the caller has decided about fees. */
  readonly limit: bigint
  /**
   * The same transaction, paying more: signed anew, or `undefined` when that is above `limit`, or above both `maxGasPrice` and twice
   * the current price.
   * @throws {DrainError} `journal_forged`: `raw` was not signed by this account for `nonce`. Who writes the journal need not have the key.
   */
  raise(raw: Hex, nonce: number, limit: bigint): Promise<Hex | undefined>
}

export function createFeePolicy(options: {
  account: LocalAccount
  client: PublicClient
  chainId: number
  /** Wei per gas that is never exceeded. */
  maxGasPrice: bigint
}): FeePolicy {
  const { account, client, chainId, maxGasPrice } = options

  async function current(): Promise<Prices> {
    const { baseFeePerGas } = await client.getBlock({ blockTag: 'latest' })
    if (baseFeePerGas === null) return { gasPrice: await client.getGasPrice() }
    const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
    return { maxFeePerGas, maxPriorityFeePerGas }
  }

  /** What the account has signed for a nonce of this chain. */
  async function ownTransaction(raw: Hex, wanted: number) {
    const serializedTransaction = raw as TransactionSerialized
    const signer = await recoverTransactionAddress({ serializedTransaction }).catch(() => undefined)
    if (signer?.toLowerCase() === account.address.toLowerCase()) {
      const signed = parseTransaction(raw)
      if ((signed.nonce ?? 0) === wanted && signed.chainId === chainId) return signed
    }
    throw new DrainError(
      'journal_forged',
      `What the journal has under nonce ${wanted} is not of this account.`,
      {
        action: 'Somebody else writes its ledger: stop what settles, and look who.',
      },
    )
  }

  return {
    limit: maxGasPrice,
    async estimate(request, worth = 0n) {
      const [estimated, prices, balance] = await Promise.all([
        client.estimateGas(request),
        current(),
        client.getBalance({ address: request.account }),
      ])
      // What a batch takes depends on what happens before it is mined.
      const gas = (estimated * 5n) / 4n
      const limit = largest(maxGasPrice, worth / (2n * gas))
      if (priceOf(prices) > limit) {
        throw new DrainError('gas_price', 'Gas costs more than may be paid for it.', {
          action: 'Wait, or raise maxGasPrice.',
        })
      }
      if (balance < gas * priceOf(prices)) {
        const message = `The account ${request.account} has too little of the chain's own coin for gas.`
        throw new DrainError('no_gas', message, { action: 'Send it some.' })
      }
      return { gas, limit, ...prices }
    },

    async raise(raw, wanted, limit) {
      const { to, data, nonce, gas, gasPrice, ...was } = await ownTransaction(raw, wanted)
      const now = await current()
      // An eighth more, and at least what is paid now: nodes take a replacement for a tenth more at least.
      const more = (fee = 0n, least = 0n) => largest((fee * 9n) / 8n + 1n, least)
      const prices: Prices =
        'gasPrice' in now
          ? { gasPrice: more(gasPrice, now.gasPrice) }
          : {
              maxFeePerGas: more(was.maxFeePerGas, now.maxFeePerGas),
              maxPriorityFeePerGas: more(was.maxPriorityFeePerGas, now.maxPriorityFeePerGas),
            }
      if (priceOf(prices) > smallest(limit, largest(maxGasPrice, 2n * priceOf(now)))) return undefined
      const same = { to, data, nonce, gas } as { to: Hex; data?: Hex; nonce: number; gas: bigint }
      return account.signTransaction({ chainId, ...same, ...prices })
    },
  }
}

const priceOf = (prices: Prices) => ('gasPrice' in prices ? prices.gasPrice : prices.maxFeePerGas)

const largest = (a: bigint, b: bigint) => (a > b ? a : b)
const smallest = (a: bigint, b: bigint) => (a < b ? a : b)
