/**
 * Sends the account's transactions and finds out what became of them: mined, final, replaced, dropped, stuck. What it knows is in
 * the journal; a process that starts anew, or another one, goes on from there.
 */
import { ContractError, type Deployment, DrainError } from '@drain/core'
import {
  type Abi,
  type Address,
  encodeFunctionData,
  type Hex,
  keccak256,
  type LocalAccount,
  type PublicClient,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import { createFeePolicy, type Fees, type Request } from './fees.ts'
import { type Entry, isSettled, type Journal, type Kind, type Mined, type Take } from './Journal.ts'
import { nonceTaker } from './nonceTaker.ts'
import { signInTime } from './signInTime.ts'

/** A function of the channels' contract, or of another one, and what it is called with. */
type Target =
  | {
      functionName: 'claim' | 'claimBatch' | 'claimAndClose' | 'openWithAuthorization'
      args: readonly unknown[]
      address?: undefined
      abi?: undefined
    }
  | { address: Address; abi: Abi; functionName: string; args: readonly unknown[] }

/** A call to be sent as a transaction. */
export type Call = Target & {
  kind: Kind
  /** What it takes, and from where. */
  takes: readonly Take[]
  /** Kept with it, to find it again. */
  subject?: string | undefined
  /** Wei and gas, decided by the caller, and the most it may come to per gas; by default they are estimated. */
  fees?: (Fees & { limit: bigint }) | undefined
  /** What is lost if it isn't mined soon, in wei: then gas may cost more than usual. */
  worth?: bigint | undefined
  /** Gas that it may take. Default: whatever the node estimates. */
  mostGas?: bigint | undefined
}

/** Books the outcome of a transaction that can't change any more. Must bear to be called again for the same. */
export type Book = (entry: Entry, receipt: TransactionReceipt | undefined) => Promise<void>

export type Transactions = {
  /**
   * Writes a transaction down and sends it. A node that doesn't take it at once is no error: it is sent again by `poll`.
   * @throws {DrainError} `chain_unavailable`: nothing was written down or sent.
   */
  send(call: Call): Promise<Entry>
  /** Simulates a call. @throws {DrainError} what the contract refuses it with, or `chain_unavailable`. */
  simulate(call: Target, channelId?: Hex): Promise<unknown>
  /**
   * Waits until a transaction is in a block, for at most `patienceMs`, and returns it with its receipt; without one when it was
   * replaced, or isn't mined yet.
   */
  mined(entry: Entry, patienceMs?: number): Promise<{ entry: Entry; receipt?: TransactionReceipt }>
  /** Looks after everything that isn't settled, once. @throws {ChainUnavailableError} */
  poll(): Promise<Unsettled>
  /** Wei that the transactions cost which this process has booked. */
  readonly gasSpent: bigint
  /** Why the oldest transaction didn't get on when it was last looked after, by this process and lately. */
  readonly problem: Unsettled['problem']
  /** What is written down under a nonce. */
  get(nonce: number): Promise<Entry | undefined>
  /** What is written down and not settled yet. */
  unsettled(): Promise<readonly Entry[]>
  /** The channels that unsettled transactions take from. */
  underWay(): Promise<ReadonlySet<Hex>>
  /**
   * Books those that took from a channel in blocks up to one that is final.
   * @throws {ChainUnavailableError} Also where the node that is asked is behind that block.
   */
  settleUntil(blockNumber: bigint, channelId: Hex): Promise<void>
  /** Whether a mined transaction is in the journal. @throws {ChainUnavailableError} */
  isOurs(hash: Hex): Promise<boolean>
  /** The channels that transactions take from which were booked as final in blocks above. */
  paidAbove(blockNumber: bigint): Promise<Hex[]>
}

/**
 * What a round has left. `problem`: why the oldest transaction doesn't get on; `not_settling`: for a minute they couldn't be looked
 * after at all.
 */
export type Unsettled = {
  entries: readonly Entry[]
  problem?: 'gas_price' | 'no_gas' | 'stuck' | 'no_receipt' | 'not_settling' | undefined
}

/** Wei per gas. */
export const defaultMaxGasPrice = 500_000_000_000n

/** How long a transaction may wait for a block before more is paid for it. */
const stuckAfterMs = 30_000
const defaultPatienceMs = 45_000
const unpolledForMs = 60_000
/** Longer than any work between two looks: whoever hasn't looked for so long doesn't lead any more, and another knows better. */
const problemForMs = 360_000
/** How long a transaction is looked for whose effects are there and whose receipt isn't. */
const lostAfterMs = 3_600_000
/** And where its effects are not there either. */
const doubtfulForMs = 600_000
/** How often one that waits is sent again, since nodes forget. */
const sendAgainMs = 5_000

type Head = { number: bigint; count: number; finalCount: number }

export function createTransactions(options: {
  account: LocalAccount
  client: PublicClient
  deployment: Deployment.Deployment
  journal: Journal
  /** Blocks on top of one that can't go away any more. */
  finality: bigint
  book: Book
  /**
   * Whether the chain, at a block that is final, leaves it open that a transaction has done what it was to. `false`: it has not.
   * @throws {ChainUnavailableError} Also where the node doesn't have that block.
   */
  mayHaveHappened: (entry: Entry, blockNumber: bigint) => Promise<boolean>
  /**
   * Told before the nonce of a transaction that was booked as final is taken by another one, since it is free again: a
   * reorganisation went deeper than that. `head`: the newest block.
   */
  onUndone: (entry: Entry, head: bigint) => Promise<void>
  /** Told once of each transaction whose outcome this process was the first to book: of several on one journal, one is. */
  onSettled?: ((entry: Entry, receipt: TransactionReceipt | undefined) => void) | undefined
  /** Wei per gas that is never exceeded. Default 500 gwei. */
  maxGasPrice?: bigint | undefined
  /** How often a transaction that is waited for is asked about. */
  pollMs?: number | undefined
  clock?: (() => number) | undefined
}): Transactions {
  const { account, client, deployment, journal, finality, book, mayHaveHappened, onUndone, onSettled } =
    options
  const { maxGasPrice = defaultMaxGasPrice, pollMs = 1_000, clock = Date.now } = options
  const policy = createFeePolicy({ account, client, chainId: deployment.chainId, maxGasPrice })
  /** The head when a transaction that isn't mined was last seen to wait, by nonce. */
  const waitingSince = new Map<number, bigint>()
  /** When a transaction was sent last, by nonce, and what the node said. */
  const broadcasts = new Map<number, { hash: Hex; at: number; problem: 'no_gas' | undefined }>()
  let turn: Promise<unknown> = Promise.resolve()
  let polling: Promise<Unsettled> | undefined
  let problem: Unsettled['problem']
  let polledAt = Number.NEGATIVE_INFINITY
  /** Since when they could not be looked after. */
  let failingSince: number | undefined
  let gasSpent = 0n
  let sharedHead: Promise<Head> | undefined
  let headAt = Number.NEGATIVE_INFINITY

  async function asking<result>(question: () => Promise<result>): Promise<result> {
    try {
      return await question()
    } catch (error) {
      if (error instanceof DrainError) throw error
      throw new ChainUnavailableError(error)
    }
  }

  const sign = <result>(signing: () => Promise<result>) => signInTime(account.address, signing)

  const targetOf = ({ address = deployment.contract, abi = ContractError.looseAbi, ...call }: Target) => ({
    address,
    abi,
    functionName: call.functionName,
    args: call.args,
  })

  async function simulate(target: Target, channelId?: Hex): Promise<unknown> {
    try {
      const call = { ...targetOf(target), account }
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

  /** Writes a transaction down under the first nonce that is free, or the one that it is for. */
  async function write(
    { kind, takes, subject }: Pick<Entry, 'kind' | 'takes' | 'subject'>,
    request: Request,
    {
      fees,
      worth,
      mostGas,
      nonce: wanted,
    }: Pick<Call, 'fees' | 'worth' | 'mostGas'> & { nonce?: number } = {},
  ): Promise<Entry | undefined> {
    const { to, data } = request
    const { limit, ...paid } = fees ?? (await asking(() => policy.estimate(request, worth)))
    if (mostGas !== undefined && paid.gas > mostGas)
      throw new DrainError('gas_limit', `It would take ${paid.gas} gas, and may take ${mostGas}.`)
    for (;;) {
      const nonce = wanted ?? (await freeNonce())
      const call = { chainId: deployment.chainId, to, nonce, ...paid, ...(data && { data }) }
      const raw = await sign(() => account.signTransaction(call))
      const attempts = [{ hash: keccak256(raw), raw, at: clock() }]
      const known = subject === undefined ? { kind, takes } : { kind, takes, subject }
      const entry: Entry = { nonce, ...known, attempts, limit, state: 'pending' }
      if (await journal.add(entry)) return entry
      if (wanted !== undefined) return (await journal.replace(entry)) ? entry : undefined
    }
  }

  async function writeCall(call: Call): Promise<Entry> {
    const { address: to, ...encoded } = targetOf(call)
    const request = { account: account.address, to, data: encodeFunctionData(encoded) }
    return (await write(call, request, call)) as Entry
  }

  /** Sends what is written down, unless that was just done. Whatever the node says, what counts is the receipt. */
  async function broadcast({ nonce, attempts }: Entry): Promise<'no_gas' | undefined> {
    const { raw, hash } = attempts.at(-1) ?? {}
    const last = broadcasts.get(nonce)
    if (!raw || !hash || (last?.hash === hash && performance.now() - last.at < sendAgainMs))
      return last?.problem
    const sent = { hash, at: performance.now(), problem: undefined as 'no_gas' | undefined }
    broadcasts.set(nonce, sent)
    try {
      await client.sendRawTransaction({ serializedTransaction: raw })
    } catch (error) {
      if (/insufficient funds/i.test(String(error))) sent.problem = 'no_gas'
    }
    return sent.problem
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

  /** The receipt of an entry, unless it is from a fork that this chain has left: one of several nodes may stand still on it. */
  async function credibleReceiptOf(entry: Entry, head: Head): Promise<TransactionReceipt | undefined> {
    const receipt = await receiptOf(entry)
    if (!receipt || !isDeep(receipt, head)) return receipt
    if (finality > 0n && head.finalCount <= entry.nonce) return undefined
    const { hash } = await asking(() => client.getBlock({ blockNumber: receipt.blockNumber }))
    return hash === receipt.blockHash ? receipt : undefined
  }

  /** Without a finality to wait for, the head may be older than the receipt. */
  const isDeep = ({ blockNumber }: TransactionReceipt, head: Head) =>
    finality === 0n || head.number - blockNumber >= finality

  const finalOf = ({ number }: Head) => (number > finality ? number - finality : 0n)

  const noHead: Head = { number: 0n, count: 0, finalCount: 0 }

  /** Whoever waits for a transaction asks for the same. */
  function readHead(): Promise<Head> {
    if (performance.now() - headAt < pollMs / 2 && sharedHead) return sharedHead
    headAt = performance.now()
    const reading = askForHead()
    sharedHead = reading
    reading.catch(() => {
      if (sharedHead === reading) sharedHead = undefined
    })
    return reading
  }

  async function askForHead(): Promise<Head> {
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

  /**
   * Books an outcome, once those of earlier transactions that take from the same channels are: amounts are cumulative, so a later
   * one that is booked first leaves nothing to be booked of theirs, neither amount nor fee.
   */
  async function bookInTurn(entry: Entry, head: Head, receipt?: TransactionReceipt): Promise<void> {
    const takenFrom = new Set(entry.takes.map(({ channelId }) => channelId))
    for (const other of await journal.unsettled()) {
      if (other.nonce >= entry.nonce) break
      if (!other.takes.some(({ channelId }) => takenFrom.has(channelId))) continue
      const { entry: earlier } = await settle(other, head)
      if (!isSettled(earlier)) throw new ChainUnavailableError('an earlier transaction is not found')
    }
    await book(entry, receipt)
  }

  /** Puts down what became of an entry, for good. */
  async function end({ nonce }: Entry, receipt?: TransactionReceipt): Promise<Entry> {
    const mined = receipt && minedIn(receipt)
    let isFirst = false
    const ended = await journal.change(nonce, (now) => {
      const changed = turned(now, mined ? 'final' : 'replaced', mined)
      isFirst = changed !== undefined
      return changed
    })
    // Somebody else may have waited for the same.
    if (isFirst) {
      gasSpent += mined?.gasCost ?? 0n
      onSettled?.(ended, receipt)
    }
    return ended
  }

  /** Brings one entry as far as the chain is. */
  async function settle(
    entry: Entry,
    head: Head,
  ): Promise<{ entry: Entry; receipt?: TransactionReceipt | undefined; problem?: Unsettled['problem'] }> {
    const receipt = await credibleReceiptOf(entry, head)
    if (receipt) {
      for (const kept of [broadcasts, waitingSince]) kept.delete(entry.nonce)
      const mined = minedIn(receipt)
      if (!isDeep(receipt, head)) {
        const isKnown = entry.state === 'mined' && entry.mined?.blockHash === mined.blockHash
        return {
          entry: isKnown ? entry : await journal.change(entry.nonce, (now) => turned(now, 'mined', mined)),
          receipt,
        }
      }
      await bookInTurn(entry, head, receipt)
      return { entry: await end(entry, receipt), receipt }
    }
    if (head.finalCount > entry.nonce) {
      const again = await credibleReceiptOf(entry, head) // another node may answer now
      if (again) return { entry, receipt: again }
      if (await isMissing(entry, head)) return { entry, problem: 'no_receipt' }
      for (const kept of [broadcasts, waitingSince]) kept.delete(entry.nonce)
      await bookInTurn(entry, head)
      return { entry: await end(entry) }
    }
    // Not there, or not any more.
    const wasFound = entry.state === 'mined' || entry.missingSince !== undefined
    const waiting = wasFound ? await journal.change(entry.nonce, (now) => turned(now, 'pending')) : entry
    if (head.count > entry.nonce) return { entry: waiting }
    const failure = await broadcast(waiting)
    if (failure === 'no_gas') return { entry: waiting, problem: 'no_gas' }
    const { at = 0 } = waiting.attempts.at(-1) ?? {}
    if (clock() - at < stuckAfterMs) return { entry: waiting }
    if (head.count < entry.nonce) return { entry: waiting, problem: 'stuck' }
    // While the chain makes no blocks, paying more buys nothing.
    const since = waitingSince.get(entry.nonce)
    if (since === undefined || since >= head.number) {
      waitingSince.set(entry.nonce, since ?? head.number)
      return { entry: waiting, problem: 'stuck' }
    }
    waitingSince.set(entry.nonce, head.number)
    return raiseFees(waiting)
  }

  /**
   * Whether a nonce that is used may be ours, though no node shows the receipt: they may differ, be behind, and forget. Given up for
   * another's after a while, since its channels wait for it; that is written down, for processes that look only once.
   */
  async function isMissing(entry: Entry, head: Head): Promise<boolean> {
    const { nonce, attempts } = entry
    const noted = await journal.change(nonce, (now) =>
      isSettled(now) || now.missingSince !== undefined ? undefined : { ...now, missingSince: clock() },
    )
    if (isSettled(noted)) return true // another process has found it
    const { missingSince = clock() } = noted
    const until = finalOf(head)
    const taker = await nonceTaker(client, { account: account.address, nonce, until }).catch(() => undefined)
    if (taker !== undefined && !attempts.some(({ hash }) => hash === taker)) return false
    // Where nobody can tell who took it, what it was to bring about speaks for it or against it.
    const isLikely = taker !== undefined || (await mayHaveHappened(entry, until))
    return clock() - missingSince < (isLikely ? lostAfterMs : doubtfulForMs)
  }

  /** Replaces a transaction that nobody mines by the same one that pays more. */
  async function raiseFees(entry: Entry): Promise<{ entry: Entry; problem: Unsettled['problem'] }> {
    const before = entry.attempts.at(-1)?.raw
    const raw = before && (await sign(() => asking(() => policy.raise(before, entry.nonce, entry.limit))))
    if (!raw) return { entry, problem: 'gas_price' }
    const attempt = { hash: keccak256(raw), raw, at: clock() }
    const raised = await journal.change(entry.nonce, (now) =>
      // Another process may have been faster.
      now.state === 'pending' && now.attempts.length === entry.attempts.length
        ? { ...now, attempts: [...now.attempts.map(({ hash, at }) => ({ hash, at })), attempt] }
        : undefined,
    )
    await broadcast(raised)
    return { entry: raised, problem: 'stuck' }
  }

  /**
   * A nonce below those in the journal that nobody uses: somebody else's transaction was waiting under it, and is gone. Nothing of
   * ours would ever be mined, so a transfer of nothing takes it.
   */
  async function fillGap([first]: readonly Entry[], { count, number }: Head): Promise<void> {
    if (!first || first.nonce <= count || clock() - (first.attempts[0]?.at ?? 0) < stuckAfterMs) return
    const { address } = account
    const pending = await asking(() => client.getTransactionCount({ address, blockTag: 'pending' }))
    if (pending > count) return
    const undone = await journal.get(count)
    if (undone?.state === 'final') await onUndone(undone, number)
    const filler = await write(
      { kind: 'fill', takes: [] },
      { account: address, to: address },
      { nonce: count },
    )
    if (filler) await broadcast(filler)
  }

  async function pollAll(): Promise<Unsettled> {
    polledAt = performance.now()
    const entries = await journal.unsettled()
    const left: Entry[] = []
    let first: Unsettled['problem']
    // Read once something is there, and not later than the receipts.
    const head = entries.length > 0 ? await askForHead() : noHead
    for (const unsettled of entries) {
      const { entry, problem } = await settle(unsettled, head)
      first ??= problem
      if (!isSettled(entry)) left.push(entry)
    }
    await fillGap(left, head)
    problem = first
    return { entries: left, problem }
  }

  return {
    simulate,
    async send(call) {
      const writing = turn.then(() => writeCall(call))
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
      polling ??= pollAll()
        .then(
          (left) => {
            failingSince = undefined
            return left
          },
          (error) => {
            failingSince ??= clock()
            if (clock() - failingSince > unpolledForMs) problem = 'not_settling'
            throw error
          },
        )
        .finally(() => {
          polling = undefined
        })
      return polling
    },
    get problem() {
      return performance.now() - polledAt < problemForMs ? problem : undefined
    },
    get gasSpent() {
      return gasSpent
    },
    get: (nonce) => journal.get(nonce),
    unsettled: () => journal.unsettled(),
    async underWay() {
      const entries = await journal.unsettled()
      return new Set(entries.flatMap(({ takes }) => takes.map(({ channelId }) => channelId)))
    },
    async settleUntil(blockNumber, channelId) {
      const entries = await journal.unsettled()
      const taking = entries.filter(({ takes }) => takes.some((take) => take.channelId === channelId))
      if (taking.length === 0) return
      const head = await askForHead()
      if (head.number - finality < blockNumber)
        throw new ChainUnavailableError('the node is behind a block that is final')
      for (const entry of taking) {
        const { entry: settled } = await settle(entry, head)
        if (!isSettled(settled) && head.finalCount > settled.nonce)
          throw new ChainUnavailableError('a transaction that may have come before is not found')
      }
    },
    async isOurs(hash) {
      const { from, nonce } = await asking(() => client.getTransaction({ hash }))
      if (from.toLowerCase() !== account.address.toLowerCase()) return false
      return (await journal.get(nonce))?.attempts.some((attempt) => attempt.hash === hash) ?? false
    },
    async paidAbove(blockNumber) {
      const found: Hex[] = []
      for await (const { state, mined, takes } of journal.all()) {
        if (state === 'final' && mined && mined.blockNumber > blockNumber)
          found.push(...takes.map(({ channelId }) => channelId))
      }
      return found
    },
  }
}

/** An entry in another state. What is settled needs its transactions no more, only their names. */
function turned(
  { missingSince: _, ...entry }: Entry,
  state: Entry['state'],
  mined?: Mined,
): Entry | undefined {
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
