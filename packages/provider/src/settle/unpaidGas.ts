/**
 * Gas of transactions that paid nothing: those that failed, ends with nothing left to pay, opens for consumers, and what fills a nonce.
 * What a claim or a charge has cost is in its own record; this is the rest, kept for good.
 */
import type { Deployment } from '@drain/core'
import type { Hex, TransactionReceipt } from 'viem'
import { decode, encode } from '../ledger/bigintJson.ts'
import type { DayRange } from '../ledger/Ledger.ts'
import type { Notebook } from '../ledger/Notebook.ts'
import type { Entry, Kind } from './Journal.ts'
import { paidBy } from './receipts.ts'

/** `day`: UTC, when it was sent. `gasCost`: wei. */
export type UnpaidGas = { day: string; kind: Kind; txHash: Hex; gasCost: bigint }

const prefix = 'gas/'

/** Writes down what a final transaction has cost, if it has paid nothing. Bears to be repeated. */
export async function keepUnpaidGas(
  notebook: Notebook,
  { kind, attempts }: Entry,
  receipt: TransactionReceipt,
  deployment: Deployment.Deployment,
): Promise<void> {
  const { transactionHash: txHash, gasUsed, effectiveGasPrice, status } = receipt
  if (paidBy(receipt, deployment).size > 0 || (kind === 'charge' && status === 'success')) return
  const { at = 0 } = attempts.find(({ hash }) => hash === txHash) ?? {}
  const day = new Date(at).toISOString().slice(0, 10)
  const gas: UnpaidGas = { day, kind, txHash, gasCost: gasUsed * effectiveGasPrice }
  await notebook.write(`${prefix}${day}/${txHash}`, () => ({ result: undefined, write: encode(gas) }))
}

/** By day, oldest first. */
export async function* unpaidGas(
  notebook: Pick<Notebook, 'read'>,
  { from = '', to }: DayRange = {},
): AsyncGenerator<UnpaidGas, void> {
  for await (const { text } of notebook.read(prefix, { from: `${prefix}${from}` })) {
    const gas = decode<UnpaidGas>(text)
    if (to !== undefined && gas.day > to) return
    yield gas
  }
}
