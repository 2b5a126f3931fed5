/** Token counts by OpenAI's o200k vocabulary. The vocabulary is loaded once, when this module is. */
import { countTokens as count } from 'gpt-tokenizer/encoding/o200k_base'

/** Text such as `<|endoftext|>` is just text here; by default the tokenizer throws on it. */
const plain = { disallowedSpecial: new Set<string>() }

/** Longest run of characters that is counted in one piece. */
const longestRun = 256

/** What the vocabulary's own pattern keeps together: letters, or marks, or white space. Numbers it cuts by itself. */
const runs = /[\p{L}\p{M}]+|[^\s\p{L}\p{N}]+|\s+/gu

/**
 * Tokens of a text.
 *
 * Long runs of one kind of character are counted in pieces, since byte pair encoding takes quadratic time on them: a hundred
 * thousand times "a" would stop this process for eight seconds. That may count such a run a little high.
 */
export function countTokens(text: string): number {
  let tokens = 0
  let from = 0
  for (const { 0: run, index } of text.matchAll(runs)) {
    const end = index + run.length
    for (let cut = index + longestRun; cut < end; cut += longestRun) {
      tokens += count(text.slice(from, cut), plain)
      from = cut
    }
  }
  return tokens + count(text.slice(from), plain)
}
