import { concatBytes } from '../http/body.ts'

/** Text that was sent, up to a size. */
export type SentText = {
  add(text: string): void
  /** All of it, or nothing when it was too much. */
  bytes(): Uint8Array | undefined
  readonly isTooLong: boolean
}

const encoder = new TextEncoder()

export function createSentText(maxBytes: number): SentText {
  let parts: Uint8Array[] = []
  let length = 0
  return {
    add(text) {
      const part = encoder.encode(text)
      length += part.length
      if (length <= maxBytes) parts.push(part)
      else parts = []
    },
    bytes: () => (length <= maxBytes ? concatBytes(parts) : undefined),
    get isTooLong() {
      return length > maxBytes
    },
  }
}
