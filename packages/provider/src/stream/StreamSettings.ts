/** How metered streams behave. Milliseconds. */
export type StreamSettings = {
  /** How long a stream whose voucher is used up waits for another one. Default 30,000. */
  graceMs: number
  /** How often it looks meanwhile whether another process has taken one. Default 1,000. */
  pollMs: number
  /** How often a stream that has nothing to send says that it is alive. Default 15,000. */
  keepAliveMs: number
}

export const defaultStreamSettings: StreamSettings = { graceMs: 30_000, pollMs: 1_000, keepAliveMs: 15_000 }
