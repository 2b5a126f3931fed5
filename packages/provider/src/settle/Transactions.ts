/**
 * Sends the account's transactions and finds out what became of them: mined, final, replaced, dropped, stuck. What it knows is in
 * the journal; a process that starts anew, or another one, goes on from there.
 */
import { ContractError, type Deployment, DrainError } from '@drain/core'
import {
  encodeFunctionData,
  type Hex,
  keccak256,
  type LocalAccount,
  type PublicClient,
  parseTransaction,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import type { Entry, Journal, Kind, Mined, Take } from './Journal.ts'
import { isSettled } from './Journal.ts'

/** A call of the contract, to be sent as a transaction. */
export type Call = {
  kind: Kind
  functionName: 'claim' | 'claimBatch' | 'claimAndClose' | 'openWithAuthorization'
  args: readonly unknown[]
  /** What it takes, and from where. */
  takes: readonly Take[]
  /** Wei and gas, decided by the caller; by default they are estimated. */
  fees?: Fees | undefined
}

type Prices = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | { gasPrice: bigint }
type Fees = Prices & { gas: bigint }

/** Books the outcome of a transaction that can't change any more. Must bear to be called again for the same. */
export type Book = (entry: Entry, receipt: TransactionReceipt | undefined) => Promise<void>

export type Transactions = {
  /**
   * Writes a transaction down and sends it. A node that doesn't take it at once is no error: it is sent again by `poll`.
   * @throws {DrainError} `chain_unavailable`: nothing was written down or sent.
   */
  send(call: Call): Promise<Entry>
  /** Simulates a call. @throws {DrainError} what the contract refuses it with, or `chain_unavailable`. */
  simulate(call: Pick<Call, 'functionName' | 'args'>, channelId?: Hex): Promise<unknown>
  /**
   * Waits until a transaction is in a block, for at most `patienceMs`, and returns it with its receipt; without one when it was
   * replaced, or isn't mined yet.
   */
  mined(entry: Entry, patienceMs?: number): Promise<{ entry: Entry; receipt?: TransactionReceipt }>
  /** Looks after everything that isn't settled, once. @throws {ChainUnavailableError} */
  poll(): Promise<Unsettled>
  /** Wei that the transactions cost which this process has booked. */
  readonly gasSpent: bigint
  /** Why the oldest transaction didn't get on when it was last looked after. */
  readonly problem: Unsettled['problem']
  /** What is written down and not settled yet. */
  unsettled(): Promise<readonly Entry[]>
  /** The channels that unsettled transactions take from. */
  underWay(): Promise<ReadonlySet<Hex>>
  /** Whether a mined transaction is in the journal. @throws {ChainUnavailableError} */
  isOurs(hash: Hex): Promise<boolean>
}

/** What a round has left. `problem`: why the oldest transaction doesn't get on. */
export type Unsettled = { entries: readonly Entry[]; problem?: 'gas_price' | 'no_gas' | 'stuck' | undefined }

/** How long a transaction may wait for a block before more is paid for it. */
const stuckAfterMs = 30_000
const defaultPatienceMs = 45_000

export function createTransactions(options: {
  account: LocalAccount
  client: PublicClient
  deployment: Deployment.Deployment
  journal: Journal
  /** Blocks on top of one that can't go away any more. */
  finality: bigint
  book: Book
  /** Wei per gas that is never exceeded. Default 500 gwei. */
  maxGasPrice?: bigint | undefined
  /** How often a transaction that is waited for is asked about. */
  pollMs?: number | undefined
  clock?: (() => number) | undefined
}): Transactions {
  const { account, client, deployment, journal, finality, book, clock = Date.now } = options
  const { maxGasPrice = 500_000_000_000n, pollMs = 1_000 } = options
  let turn: Promise<unknown> = Promise.resolve()
  let polling: Promise<Unsettled> | undefined
  let problem: Unsettled['problem']
  let gasSpent = 0n

  async function asking<result>(question: () => Promise<result>): Promise<result> {
    try {
      return await question()
    } catch (error) {
      if (error instanceof DrainError) throw error
      throw new ChainUnavailableError(error)
    }
  }

  async function simulate(
    { functionName, args }: Pick<Call, 'functionName' | 'args'>,
    channelId?: Hex,
  ): Promise<unknown> {
    try {
      const call = { address: deployment.contract, abi: ContractError.looseAbi, functionName, args, account }
      const { result } = await client.simulateContract(call)
      return result
    } catch (error) {
      throw ContractError.fromRevert(error, channelId === undefined ? {} : { channelId })
    }
  }

  /** The next nonce that nobody has: neither on chain, nor waiting in the node, nor in the journal. */
  async function freeNonce(): Promise<number> {
    const [counted, journaled] = await Promise.all([
      asking(() => client.getTransactionCount({ address: account.address, blockTag: 'pending' })),
      journal.next(),
    ])
    return Math.max(counted, journaled)
  }

  async function estimate(request: { account: Hex; to: Hex; data: Hex }): Promise<Fees> {
    const [estimated, prices, balance] = await Promise.all([
      client.estimateGas(request),
      estimateFees(),
      client.getBalance({ address: account.address }),
    ])
    // What a batch takes depends on what happens before it is mined.
    const gas = (estimated * 5n) / 4n
    if (balance < gas * priceOf(prices)) {
      throw new DrainError(
        'no_gas',
        `The account ${account.address} has too little of the chain's own coin for gas.`,
        {
          action: 'Send it some.',
        },
      )
    }
    if (priceOf(prices) > maxGasPrice) {
      throw new DrainError('gas_price', 'Gas costs more than may be paid for it.', {
        action: 'Wait, or raise maxGasPrice.',
      })
    }
    return { gas, ...prices }
  }

  /** With one price where the chain has no base fee. */
  async function estimateFees(): Promise<Prices> {
    const { baseFeePerGas } = await client.getBlock({ blockTag: 'latest' })
    if (baseFeePerGas === null) return { gasPrice: await client.getGasPrice() }
    const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
    return { maxFeePerGas, maxPriorityFeePerGas }
  }

  async function write(call: Call): Promise<Entry> {
    const { kind, functionName, args, takes } = call
    const data = encodeFunctionData({ abi: ContractError.looseAbi, functionName, args })
    const request = { account: account.address, to: deployment.contract, data } as const
    const fees = call.fees ?? (await asking(() => estimate(request)))
    for (;;) {
      const nonce = await freeNonce()
      const { to } = request
      const raw = await account.signTransaction({ chainId: deployment.chainId, to, data, nonce, ...fees })
      const attempts = [{ hash: keccak256(raw), raw, at: clock() }]
      const entry: Entry = { nonce, kind, takes, attempts, state: 'pending' }
      if (await journal.add(entry)) return entry
    }
  }

  /** Sends what is written down. Whatever the node says, what counts is the receipt. */
  async function broadcast({ attempts }: Entry): Promise<string | undefined> {
    const raw = attempts.at(-1)?.raw
    if (!raw) return undefined
    try {
      await client.sendRawTransaction({ serializedTransaction: raw })
      return undefined
    } catch (error) {
      return /insufficient funds/i.test(String(error)) ? 'no_gas' : 'unsent'
    }
  }

  async function receiptOf({ attempts }: Entry): Promise<TransactionReceipt | undefined> {
    // The latest pays most, so it is the likeliest.
    for (const { hash } of attempts.toReversed()) {
      try {
        return await client.getTransactionReceipt({ hash })
      } catch (error) {
        if (!(error instanceof TransactionReceiptNotFoundError)) throw new ChainUnavailableError(error)
      }
    }
    return undefined
  }

  type Head = { number: bigint; count: number; finalCount: number }

  const noHead: Head = { number: 0n, count: 0, finalCount: 0 }

  async function readHead(): Promise<Head> {
    const { address } = account
    return asking(async () => {
      const number = await client.getBlockNumber({ cacheTime: 0 })
      const final = number > finality ? number - finality : 0n
      const [count, finalCount] = await Promise.all([
        client.getTransactionCount({ address, blockNumber: number }),
        finality === 0n ? undefined : client.getTransactionCount({ address, blockNumber: final }),
      ])
      return { number, count, finalCount: finalCount ?? count }
    })
  }

  /** Brings one entry as far as the chain is. */
  async function settle(
    entry: Entry,
    head: Head,
  ): Promise<{ entry: Entry; receipt?: TransactionReceipt | undefined; problem?: Unsettled['problem'] }> {
    const receipt = await receiptOf(entry)
    if (receipt) {
      const mined = minedIn(receipt)
      // Without a finality to wait for, the head may be older than the receipt.
      if (finality > 0n && head.number - receipt.blockNumber < finality) {
        const isKnown = entry.state === 'mined' && entry.mined?.blockHash === mined.blockHash
        return {
          entry: isKnown ? entry : await journal.change(entry.nonce, (now) => turned(now, 'mined', mined)),
          receipt,
        }
      }
      await book(entry, receipt)
      gasSpent += mined.gasCost
      return { entry: await journal.change(entry.nonce, (now) => turned(now, 'final', mined)), receipt }
    }
    if (head.finalCount > entry.nonce) {
      // Nodes behind one address may differ by a block: only what stays so is believed.
      const again = await receiptOf(entry)
      if (again) return { entry, receipt: again }
      await book(entry, undefined)
      return { entry: await journal.change(entry.nonce, (now) => turned(now, 'replaced')) }
    }
    // Not there, or not any more.
    const waiting =
      entry.state === 'mined' ? await journal.change(entry.nonce, (now) => turned(now, 'pending')) : entry
    if (head.count > entry.nonce) return { entry: waiting }
    const failure = await broadcast(waiting)
    if (failure === 'no_gas') return { entry: waiting, problem: 'no_gas' }
    const { at = 0 } = waiting.attempts.at(-1) ?? {}
    if (head.count < entry.nonce || clock() - at < stuckAfterMs) return { entry: waiting }
    return raiseFees(waiting)
  }

  /** Replaces a transaction that nobody mines by the same one that pays more. Nodes ask for a tenth more at least. */
  async function raiseFees(entry: Entry): Promise<{ entry: Entry; problem: Unsettled['problem'] }> {
    const last = entry.attempts.at(-1)
    if (!last?.raw) return { entry, problem: 'stuck' }
    const { to, data, nonce, gas, gasPrice, ...was } = parseTransaction(last.raw)
    const more = (fee = 0n, now = 0n) => largest((fee * 5n) / 4n + 1n, now)
    const now = await asking(estimateFees)
    const prices: Prices =
      'gasPrice' in now
        ? { gasPrice: more(gasPrice, now.gasPrice) }
        : {
            maxFeePerGas: more(was.maxFeePerGas, now.maxFeePerGas),
            maxPriorityFeePerGas: more(was.maxPriorityFeePerGas, now.maxPriorityFeePerGas),
          }
    if (priceOf(prices) > maxGasPrice) return { entry, problem: 'gas_price' }
    const raw = await account.signTransaction({
      ...{
        chainId: deployment.chainId,
        to: to as Hex,
        data: data as Hex,
        nonce: nonce as number,
        gas: gas as bigint,
      },
      ...prices,
    })
    const attempt = { hash: keccak256(raw), raw, at: clock() }
    const raised = await journal.change(entry.nonce, (now) =>
      // Another process may have been faster.
      now.state === 'pending' && now.attempts.length === entry.attempts.length
        ? { ...now, attempts: [...now.attempts, attempt] }
        : undefined,
    )
    await broadcast(raised)
    return { entry: raised, problem: 'stuck' }
  }

  async function pollAll(): Promise<Unsettled> {
    const entries = await journal.unsettled()
    const left: Entry[] = []
    let first: Unsettled['problem']
    // Read once something is there, and not later than the receipts.
    const head = entries.length > 0 ? await readHead() : noHead
    for (const unsettled of entries) {
      const { entry, problem } = await settle(unsettled, head)
      first ??= problem
      if (!isSettled(entry)) left.push(entry)
    }
    problem = first
    return { entries: left, problem }
  }

  return {
    simulate,
    async send(call) {
      const writing = turn.then(
        () => write(call),
        () => write(call),
      )
      turn = writing.catch(() => {})
      const entry = await writing
      await broadcast(entry)
      return entry
    },
    async mined(entry, patienceMs = defaultPatienceMs) {
      const until = performance.now() + patienceMs
      for (;;) {
        const known = (await journal.get(entry.nonce)) ?? entry
        if (known.state === 'replaced') return { entry: known }
        try {
          if (known.state === 'final') {
            const receipt = await receiptOf(known)
            return { entry: known, ...(receipt && { receipt }) }
          }
          const { entry: settled, receipt, problem } = await settle(known, await readHead())
          if (receipt) return { entry: settled, receipt }
          if (isSettled(settled) || problem === 'no_gas') return { entry: settled }
        } catch (error) {
          if (!(error instanceof ChainUnavailableError)) throw error
        }
        if (performance.now() >= until) return { entry: known }
        await new Promise((resolve) => setTimeout(resolve, pollMs))
      }
    },
    poll() {
      polling ??= pollAll().finally(() => {
        polling = undefined
      })
      return polling
    },
    get problem() {
      return problem
    },
    get gasSpent() {
      return gasSpent
    },
    unsettled: () => journal.unsettled(),
    async underWay() {
      const entries = await journal.unsettled()
      return new Set(entries.flatMap(({ takes }) => takes.map(({ channelId }) => channelId)))
    },
    async isOurs(hash) {
      const { from, nonce } = await asking(() => client.getTransaction({ hash }))
      if (from.toLowerCase() !== account.address.toLowerCase()) return false
      return (await journal.get(nonce))?.attempts.some((attempt) => attempt.hash === hash) ?? false
    },
  }
}

/** An entry in another state. What is settled needs its transactions no more, only their names. */
function turned(entry: Entry, state: Entry['state'], mined?: Mined): Entry | undefined {
  if (isSettled(entry)) return undefined
  const settled = state === 'final' || state === 'replaced'
  const attempts = settled ? entry.attempts.map(({ hash, at }) => ({ hash, at })) : entry.attempts
  return { ...entry, attempts, state, mined }
}

function minedIn(receipt: TransactionReceipt): Mined {
  const { transactionHash: hash, blockNumber, blockHash, gasUsed, effectiveGasPrice, status } = receipt
  const gasCost = gasUsed * effectiveGasPrice
  return { hash, blockNumber, blockHash, succeeded: status === 'success', gasUsed, gasCost }
}

const priceOf = (prices: Prices) => ('gasPrice' in prices ? prices.gasPrice : prices.maxFeePerGas)

const largest = (a: bigint, b: bigint) => (a > b ? a : b)
