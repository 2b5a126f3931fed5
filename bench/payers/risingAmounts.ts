import { price } from '../servers/Server.ts'

/** The cumulative amount of each channel's next voucher. */
export function risingAmounts(): (channel: number) => bigint {
  const paid = new Map<number, bigint>()
  return (channel) => {
    const amount = (paid.get(channel) ?? 0n) + price
    paid.set(channel, amount)
    return amount
  }
}
