/** Token counts by OpenAI's o200k vocabulary. The vocabulary is loaded once, when this module is. */
import { setImmediate } from 'node:timers/promises'
import { countTokens as count, setMergeCacheSize } from 'gpt-tokenizer/encoding/o200k_base'

/** Text such as `<|endoftext|>` is just text here; by default the tokenizer throws on it. */
const plain = { disallowedSpecial: new Set<string>() }

/** The tokenizer remembers words; a hundred thousand by default, however long they are. */
setMergeCacheSize(10_000)

/** Longest run of characters that is counted in one piece. A multiple of three: the vocabulary takes digits by threes. */
const longestRun = 252

/** What the vocabulary's own pattern keeps together: letters, or digits, or marks, or white space. */
const runs = /[\p{L}\p{M}]+|\p{N}+|[^\s\p{L}\p{N}]+|\s+/gu

/** Characters after which a slice ends at the next place that no token spans; after twice as many it ends anywhere. */
const sliceLength = 512

/** How long counting may keep the process from everything else. */
const turnMs = 4

/** Tokens of a text. */
export function countTokens(text: string): number {
  let tokens = 0
  for (const slice of slices(text)) tokens += count(slice, plain)
  return tokens
}

/**
 * Tokens of several texts together, counted in small turns between which everything else goes on. Ends early, with a number
 * above `most`, as soon as there are more: what nobody pays for is not worth counting.
 */
export async function countTokensUpTo(most: number, texts: Iterable<string>): Promise<number> {
  let tokens = 0
  let turn = performance.now()
  for (const text of texts) {
    for (const slice of slices(text)) {
      if (tokens > most) return tokens
      if (performance.now() - turn > turnMs) {
        await nextTurn()
        turn = performance.now()
      }
      tokens += count(slice, plain)
    }
  }
  return tokens
}

let lastTurn: Promise<void> = Promise.resolve()

/** Only one count goes on in each turn of the event loop, however many wait. */
function nextTurn(): Promise<void> {
  lastTurn = lastTurn.then(() => setImmediate())
  return lastTurn
}

/**
 * A text in slices that have as many tokens together as the whole, and take a few milliseconds each at most.
 *
 * Long runs of one kind of character are cut, since byte pair encoding takes quadratic time on them: a hundred thousand times
 * "a" would stop this process for eight seconds. That may count such a run a little high.
 */
function* slices(text: string): Generator<string> {
  let from = 0
  const to = (end: number) => {
    // Copied: a word that the tokenizer remembers would keep the whole text in memory as long as itself.
    const slice = Buffer.from(text.slice(from, end)).toString()
    from = end
    return slice
  }
  for (const { 0: run, index } of text.matchAll(runs)) {
    const end = index + run.length
    for (let cut = index + longestRun; cut < end; cut += longestRun) yield to(cut)
    const length = end - from
    if (length >= 2 * sliceLength || (length >= sliceLength && isWordEnd(run, text[end]))) yield to(end)
  }
  if (from < text.length) yield to(text.length)
}

/** Whether no token spans this place: after a letter or digit, unless an apostrophe continues the word. */
function isWordEnd(run: string, next: string | undefined): boolean {
  return next !== "'" && /[\p{L}\p{N}]$/u.test(run)
}
