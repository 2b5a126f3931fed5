/** The provider's ledger, read beside it. */
import type { ChannelState } from '@drain/provider'
import { type Books, openBooks } from '../packages/provider/src/cli/openBooks.ts'

export async function withBooks<result>(
  path: string,
  read: (books: Books) => Promise<result>,
): Promise<result> {
  const books = await openBooks(path)
  try {
    return await read(books)
  } finally {
    await books.close()
  }
}

export function readLedger(path: string): Promise<ChannelState[]> {
  return withBooks(path, ({ ledger }) => all(ledger.channels()))
}

export async function all<item>(items: AsyncIterable<item>): Promise<item[]> {
  const found: item[] = []
  for await (const item of items) found.push(item)
  return found
}

/** Unix seconds, and the seconds before it in which nothing is served: an hour or a tenth of the channel's time. */
export function expiryOf({ expiry, firstSeen }: ChannelState): { expiry: number; margin: number } {
  return { expiry: Number(expiry), margin: Math.min(3_600, Number(expiry - firstSeen) / 10) }
}
