/** A server under load: where it listens, how many requests it was paid for, and how it ends. */
export type Server = {
  port: number
  /** Requests that were paid for, by the server's own books. */
  paid(): Promise<number>
  close(): Promise<void>
}

/** What every server's handler answers: the work is the same, and next to nothing. */
export const answer = { joke: 'Why did the voucher cross the channel? To get to the other sign.' }

/** What one request costs, in base units. */
export const price = 100n

/** Where the handler is, at every server. */
export const path = '/joke'
