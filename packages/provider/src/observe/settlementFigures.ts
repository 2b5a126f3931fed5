/** What is to be watched of the settlement, whichever process does it: read from the ledger and its notebook. */
import type { Address, PublicClient } from 'viem'
import { type AlarmCode, alarms } from '../ledger/alarms.ts'
import type { Ledger } from '../ledger/Ledger.ts'
import type { ChargeBook } from '../settle/ChargeBook.ts'
import { createJournal } from '../settle/Journal.ts'
import { type Outlook, readOutlook } from '../settle/outlook.ts'
import type { Worth } from '../settle/plan.ts'
import type { Transactions } from '../settle/Transactions.ts'
import type { Following } from './Following.ts'
import { remembered } from './remembered.ts'

/** What can't be read is undefined. Nothing throws. */
export type SettlementFigures = {
  /** What is under way, at risk and next. */
  outlook(): Promise<Outlook | undefined>
  /** How many alarms there are, by code. */
  alarms(): Promise<ReadonlyMap<AlarmCode, number> | undefined>
  /** Transactions that aren't final. */
  unsettled(): Promise<number | undefined>
  /** Blocks that nobody has read the events of. */
  behind(): Promise<bigint | undefined>
  /** Wei, by transactions that this process has booked. */
  gasSpent(): bigint
  /** Wei, by all transactions that are in the ledger, or were. */
  ledgerGasSpent(): Promise<bigint | undefined>
  /** Wei, by the transfers of charges that this process has booked. */
  chargeGasSpent(): bigint
  /** Wei that the account has for gas. Undefined while no node says. */
  gasBalance(): Promise<bigint | undefined>
}

const keptMs = 30_000
/** How long figures wait for a node. */
const patienceMs = 3_000

export function createSettlementFigures(options: {
  ledger: Pick<Ledger, 'channels' | 'notebook'>
  transactions: Pick<Transactions, 'unsettled' | 'underWay' | 'gasSpent'>
  charges: Pick<ChargeBook, 'gasSpent'>
  following: Pick<Following, 'behind'>
  client: Pick<PublicClient, 'getBalance' | 'getGasPrice'>
  provider: Address
  /** From what on something is claimed, at a price of gas (wei). */
  worth: (gasPrice: bigint) => Worth
  /** Unix seconds. */
  now: () => bigint
}): SettlementFigures {
  const { ledger, transactions, charges, following, client, provider, worth, now } = options
  const journal = createJournal(ledger.notebook, provider)

  async function findOutlook(): Promise<Outlook> {
    // Without a node gas counts as nothing.
    const gasPrice = (await soon(client.getGasPrice())) ?? 0n
    const underWay = await transactions.underWay()
    return readOutlook({ ledger, underWay, worth: worth(gasPrice), now: now() })
  }

  async function countAlarms(): Promise<Map<AlarmCode, number>> {
    const counts = new Map<AlarmCode, number>()
    for await (const { code } of alarms(ledger.notebook)) counts.set(code, (counts.get(code) ?? 0) + 1)
    return counts
  }

  return {
    outlook: remembered(keptMs, () => findOutlook().catch(unknown)),
    alarms: remembered(keptMs, () => countAlarms().catch(unknown)),
    unsettled: () => transactions.unsettled().then(({ length }) => length, unknown),
    behind: () => following.behind(),
    gasSpent: () => transactions.gasSpent,
    ledgerGasSpent: remembered(keptMs, () => journal.gasSpent().catch(unknown)),
    chargeGasSpent: () => charges.gasSpent,
    gasBalance: remembered(keptMs, () => soon(client.getBalance({ address: provider }))),
  }
}

const unknown = () => undefined

/** What a node answers, unless that takes too long or fails. */
async function soon<answer>(asking: Promise<answer>): Promise<answer | undefined> {
  let impatience: ReturnType<typeof setTimeout> | undefined
  const waited = new Promise<undefined>((resolve) => {
    impatience = setTimeout(() => resolve(undefined), patienceMs)
  })
  return Promise.race([asking.catch(unknown), waited]).finally(() => clearTimeout(impatience))
}
