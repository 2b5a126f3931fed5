/** Amounts and times as people read them. */

/** A decimal amount with its unit. */
export function usdc(amount: string): string {
  return `${amount} USDC`
}

/** Of Unix seconds. Later than dates can be: a contract of others may allow it. */
export function isoDate(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1_000)
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString().replace('.000Z', 'Z')
}
