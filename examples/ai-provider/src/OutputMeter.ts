import { countTokens } from './tokens.ts'

/** What is not committed is counted again with every piece, so it is kept short. */
const longestTail = 160

/**
 * Counts the tokens of texts that arrive in pieces: the same number as for the whole, however it was cut.
 *
 * A stream can't be counted chunk by chunk, since a token may be split over two chunks and would count twice.
 */
export class OutputMeter {
  readonly #tails = new Map<string, string>()
  #committed = 0
  readonly #tailTokens = new Map<string, number>()

  /** Tokens so far, over all texts. */
  get tokens(): number {
    let tokens = this.#committed
    for (const tail of this.#tailTokens.values()) tokens += tail
    return tokens
  }

  /** Appends to the text called `name`. */
  add(name: string, piece: string): void {
    let tail = (this.#tails.get(name) ?? '') + piece
    if (tail.length > longestTail) {
      const cut = lastBoundary(tail)
      this.#committed += countTokens(tail.slice(0, cut))
      tail = tail.slice(cut)
    }
    this.#tails.set(name, tail)
    this.#tailTokens.set(name, countTokens(tail))
  }
}

/**
 * A place that no token spans: after a letter or digit and before something that continues no word (an apostrophe does). A
 * text without such a place is cut anyhow once it has become long.
 */
function lastBoundary(text: string): number {
  const complete = /^[\s\S]*[\p{L}\p{N}](?=[^\p{L}\p{M}\p{N}'])/u.exec(text)
  if (complete) return complete[0].length
  return text.length > 8 * longestTail ? text.length : 0
}
