/** Text that was sent, up to a size. */
export type SentText = {
  add(text: string): void
  /** All of it, or nothing when it was too much. */
  bytes(): Uint8Array | undefined
  readonly isTooLong: boolean
}

export function createSentText(maxBytes: number): SentText {
  let parts: string[] = []
  let length = 0
  return {
    add(text) {
      length += text.length
      if (length <= maxBytes) parts.push(text)
      else parts = []
    },
    bytes: () => (length <= maxBytes ? new TextEncoder().encode(parts.join('')) : undefined),
    get isTooLong() {
      return length > maxBytes
    },
  }
}
