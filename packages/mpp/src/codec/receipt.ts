/** Receipts: the value of `Payment-Receipt` on a paid answer. */
import { decodeText, encodeText } from './base64url.ts'

export const receiptHeader = 'Payment-Receipt'

/** What every receipt has; methods add members of their own. */
export type Receipt = {
  method: string
  /** What the method pays by: a channel's id, a transaction's hash. */
  reference: string
  status: 'success'
  /** RFC 3339. */
  timestamp: string
}

export function serializeReceipt(receipt: Receipt): string {
  return encodeText(JSON.stringify(receipt))
}

/** A receipt from a header's value, or `undefined` when it is none. */
export function parseReceipt(value: string | null): (Receipt & Record<string, unknown>) | undefined {
  const text = value === null || value.length > maxLength ? undefined : decodeText(value)
  if (text === undefined) return undefined
  try {
    const receipt = JSON.parse(text)
    const isReceipt =
      receipt?.status === 'success' &&
      [receipt.method, receipt.reference, receipt.timestamp].every((member) => typeof member === 'string')
    return isReceipt ? receipt : undefined
  } catch {
    return undefined
  }
}

const maxLength = 8 * 1_024
