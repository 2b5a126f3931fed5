/** What the provider sells. Base units. */
export const prices = {
  fixed: 1_000n,
  /** The most that a quoted request costs; its handler reports what it did. */
  quoted: 5_000n,
  stream: { most: 20_000n, first: 2_000n, step: 2_000n },
}

/** What a consumer asks for. `cost`: what the work comes to, or each event of a stream. */
export type Work = { cost: number; delayMs: number; events?: number; fails?: boolean }
