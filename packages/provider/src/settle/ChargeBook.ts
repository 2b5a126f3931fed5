/**
 * Charges: payments without a channel, each by a transfer of its own (EIP-3009). One is `due` from before its transfer is sent until
 * that is final, whoever sent it. Then it is income, kept for good. What was paid, answered, and taken back by a reorganisation is
 * sent again, or told.
 */
import { type Deployment, DrainError, Usdc } from '@drain/core'
import type { Address, Hex, PublicClient, TransactionReceipt } from 'viem'
import { raiseAlarm } from '../ledger/alarms.ts'
import { decode, encode } from '../ledger/bigintJson.ts'
import type { DayRange } from '../ledger/Ledger.ts'
import type { Notebook } from '../ledger/Notebook.ts'
import type { Logger } from '../observe/Log.ts'
import { asked } from './chainReads.ts'
import { type Authorization, authorizationAbi, nameOf } from './chargeEvents.ts'
import { createChargeUses } from './chargeUses.ts'
import type { Transactions } from './Transactions.ts'

/** A charge that is expected, or was given something for. */
export type Charge = Authorization & {
  /** A block before which it was not used. */
  block: bigint
  /** When it was written down, Unix milliseconds: its day is that of the accounts. */
  at: number
  /** Without it, it can't be sent again. */
  signature?: Hex | undefined
  /** The transfer, once something was given for it. */
  txHash?: Hex | undefined
  /** How often it was sent again since. */
  sentAgain?: number | undefined
}

/** A charge whose transfer is final. */
export type Income = Omit<Charge, 'signature' | 'sentAgain'> & {
  txHash: Hex
  minedIn: bigint
  /** Wei, where the transfer was this provider's own transaction. */
  gasCost: bigint
}

export type ChargeBook = {
  /** Writes a charge down, before its transfer is sent. */
  expect(charge: Authorization & { signature: Hex; block: bigint }): Promise<void>
  /** Something is about to be given for it: from now on it must not be lost silently. */
  give(charge: Pick<Authorization, 'from' | 'nonce'>, txHash: Hex): Promise<void>
  /** Those that nothing was given for yet: they are worked for or on their way, or have come to nothing. */
  unanswered(): AsyncIterable<Charge>
  /** Brings those that may be final as far as the chain is. @throws {ChainUnavailableError} */
  poll(): Promise<void>
  /** Looks after income of blocks above again: a reorganisation went deeper than what was taken for final. */
  doubt(above: bigint): Promise<void>
  /** Wei that the transfers cost which this process has booked. */
  readonly gasSpent: bigint
}

const duePrefix = 'charge-due/'
const incomePrefix = 'charge-paid/'
/** An authorization that ends within this many seconds is not sent again. */
const miningSeconds = 10n
const mostSendings = 3
/** How long what was used, and by nothing that a node shows, is looked for after its end, in seconds. */
const lookedForSeconds = 3_600n
/** Blocks that reorganisations take back are not older than that. */
const doubtedDays = 2
const dayMs = 86_400_000
const hourMs = 3_600_000
const mostResentPerHour = 500
/** A plain transfer takes a tenth of that; a wallet that is a contract takes more. */
const mostResendingGas = 600_000n

export function createChargeBook(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  provider: Address
  notebook: Notebook
  transactions: Pick<Transactions, 'send' | 'unsettled'>
  /** Blocks on top of one that can't go away any more. */
  finality: bigint
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
  log: Logger
}): ChargeBook {
  const { client, deployment, provider, notebook, transactions, finality, clock = Date.now, log } = options
  const { token } = deployment
  const dueKey = (charge: Pick<Authorization, 'from' | 'nonce'>) => `${duePrefix}${nameOf(token, charge)}`
  const incomeKey = (charge: Charge) => `${incomePrefix}${dayOf(charge.at)}/${nameOf(token, charge)}`
  const uses = createChargeUses({ client, token })
  /** When transfers were sent again, in the last hour. */
  const resent: number[] = []
  let gasSpent = 0n

  /** Changes one that is due. */
  function change(
    charge: Pick<Authorization, 'from' | 'nonce'>,
    decide: (due: Charge) => Charge | null,
  ): Promise<void> {
    return notebook.write(dueKey(charge), (text) => {
      const changed = text === undefined ? undefined : decide(decode<Charge>(text))
      return { result: undefined, write: changed && encode(changed) }
    })
  }

  /** Whether the token takes it no more, at a block, or now where nodes don't keep that one's state. */
  function isUsed({ from, nonce }: Charge, blockNumber: bigint): Promise<boolean> {
    const call = { address: token, abi: authorizationAbi, functionName: 'authorizationState' } as const
    const now = () => client.readContract({ ...call, args: [from, nonce] })
    return asked(() => client.readContract({ ...call, args: [from, nonce], blockNumber }).catch(now))
  }

  async function book(charge: Charge, receipt: TransactionReceipt): Promise<void> {
    const { signature: _, sentAgain: __, ...rest } = charge
    const { transactionHash: txHash, blockNumber: minedIn, from } = receipt
    const isOurs = from.toLowerCase() === provider.toLowerCase()
    const gasCost = isOurs ? receipt.gasUsed * receipt.effectiveGasPrice : 0n
    const income: Income = { ...rest, txHash, minedIn, gasCost }
    const isNew = await notebook.write(incomeKey(charge), (text) => ({
      result: text === undefined,
      write: encode(income),
    }))
    if (isNew) gasSpent += gasCost
    await change(charge, () => null)
  }

  /** It will not be paid any more. */
  async function lose(charge: Charge, reason: string): Promise<void> {
    const { from, value, txHash, nonce } = charge
    if (txHash) {
      const message =
        `${Usdc.display(value)} of ${from} were paid by transaction ${txHash} and answered. A reorganisation took that back, and ` +
        `${reason}. They are lost.`
      const code = 'charge_vanished'
      const isNew = await raiseAlarm(notebook, { charge: nonce, code, message, at: clock() })
      if (isNew) log.error(`ALARM: ${message}`, { charge: nonce, code })
    }
    await change(charge, () => null)
  }

  /** Whether one more may be sent again this hour: reorganisations take back few. */
  function mayResend(): boolean {
    while (resent[0] !== undefined && performance.now() - resent[0] > hourMs) resent.shift()
    return resent.length < mostResentPerHour
  }

  /** Sends the transfer of one that was answered anew, as long as the token takes it. */
  async function sendAgain(charge: Charge): Promise<void> {
    const { from, to, value, validAfter, validBefore, nonce, signature, sentAgain = 0 } = charge
    const now = BigInt(Math.floor(clock() / 1_000))
    if (!charge.txHash || !signature || sentAgain >= mostSendings || validBefore <= now + miningSeconds)
      return
    // Whoever serves may write what is due, and must not have its own transfers paid for.
    if (to.toLowerCase() !== provider.toLowerCase() || !mayResend()) return
    await change(charge, (due) => ({ ...due, sentAgain: sentAgain + 1 }))
    const call = {
      ...{ address: token, abi: authorizationAbi, functionName: 'transferWithAuthorization' },
      args: [from, to, value, validAfter, validBefore, nonce, signature],
      mostGas: mostResendingGas,
    } as const
    try {
      await transactions.send({ ...call, kind: 'charge', takes: [], subject: nameOf(token, charge) })
      resent.push(performance.now())
      log.warn('a charge is sent again: a reorganisation took its transfer back', { charge: nonce, from })
    } catch (error) {
      // It may be taken the next time.
      const code = error instanceof DrainError ? error.code : 'refused'
      log.warn('a charge could not be sent again', { charge: nonce, from, code })
    }
  }

  async function follow(
    charge: Charge,
    final: { head: bigint; number: bigint; timestamp: bigint },
  ): Promise<void> {
    const use = await uses.find(charge, final.head)
    if (typeof use === 'object') {
      if (use.blockNumber <= final.number) await book(charge, use)
    } else if (await isUsed(charge, final.number)) {
      if (use === 'spent') await lose(charge, 'its authorization was used for something else, or canceled')
      else if (charge.validBefore + lookedForSeconds < final.timestamp)
        await lose(charge, 'no node shows what its authorization was used for')
    } else if (charge.validBefore <= final.timestamp) await lose(charge, 'its authorization has ended')
    else if (!use) await sendAgain(charge)
  }

  return {
    expect: (charge) =>
      notebook.write(dueKey(charge), (text) =>
        text === undefined
          ? { result: undefined, write: encode({ ...charge, at: clock() } satisfies Charge) }
          : { result: undefined },
      ),
    give: (charge, txHash) => change(charge, (due) => ({ ...due, txHash })),
    async *unanswered() {
      for await (const charge of dues(notebook)) if (!charge.txHash) yield charge
    },
    async poll() {
      let final: { head: bigint; number: bigint; timestamp: bigint } | undefined
      let moving: ReadonlySet<string | undefined> | undefined
      const failures: unknown[] = []
      for await (const { name, ...charge } of dues(notebook)) {
        final ??= await readFinal()
        if (charge.block > final.number) continue
        moving ??= new Set((await transactions.unsettled()).map(({ subject }) => subject))
        if (moving.has(name)) continue
        // One that a node can't tell of keeps none of the others waiting.
        await follow(charge, final).catch((error) => failures.push(error))
      }
      if (failures.length > 0) throw failures[0]
    },
    async doubt(above) {
      const from = dayOf(clock() - doubtedDays * dayMs)
      for await (const { day: _, gasCost: __, minedIn, ...charge } of incomes(notebook, { from })) {
        if (minedIn <= above) continue
        // First among those that are due: whoever dies in between finds it in both places, and books it again.
        await notebook.write(dueKey(charge), () => ({ result: undefined, write: encode(charge) }))
        await notebook.write(incomeKey(charge), () => ({ result: undefined, write: null }))
      }
    },
    get gasSpent() {
      return gasSpent
    },
  }

  function readFinal() {
    return asked(async () => {
      const head = await client.getBlockNumber({ cacheTime: 0 })
      const { number, timestamp } = await client.getBlock({
        blockNumber: head > finality ? head - finality : 0n,
      })
      return { head, number, timestamp }
    })
  }
}

/** Charges whose transfers aren't final, or were never sent. `name`: the subject of their transactions. */
export async function* dues(notebook: Pick<Notebook, 'read'>): AsyncGenerator<Charge & { name: string }> {
  for await (const { key, text } of notebook.read(duePrefix))
    yield { ...decode<Charge>(text), name: key.slice(duePrefix.length) }
}

/** Charges whose transfers are final, by the day (UTC) when they were taken, oldest first. */
export async function* incomes(
  notebook: Pick<Notebook, 'read'>,
  { from = '', to }: DayRange = {},
): AsyncGenerator<Income & { day: string }, void> {
  for await (const { key, text } of notebook.read(incomePrefix, { from: `${incomePrefix}${from}` })) {
    const day = key.slice(incomePrefix.length, incomePrefix.length + 10)
    if (to !== undefined && day > to) return
    yield { ...decode<Income>(text), day }
  }
}

const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10)
