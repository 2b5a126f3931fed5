import { countTokens as reference } from 'gpt-tokenizer/encoding/o200k_base'
import { describe, expect, it } from 'vitest'
import { OutputMeter } from './OutputMeter.ts'
import { countTokens, countTokensUpTo } from './tokens.ts'

const texts = [
  '',
  'Hello, world!',
  'A paragraph.\n\n  - with a list,\r\n  - and 12345 numbers  and   spaces \t\n\n\nDone!!!\n',
  'Zażółć gęślą jaźń, Привет, 你好，世界。こんにちは 😀🙃 — “quotes” don’t hurt, nor do CamelCaseWords or snake_case_ones.',
  JSON.stringify({ name: 'look_up', arguments: { city: 'Paris', days: [1, 2, 3] } }).repeat(20),
  'The quick brown fox jumps over the lazy dog. '.repeat(50),
]

describe('countTokens', () => {
  it.each(texts)('counts as the tokenizer does: %#', (text) => {
    expect(countTokens(text)).toBe(reference(text))
  })

  it('takes the names of special tokens for text', () => {
    expect(countTokens('<|endoftext|>')).toBeGreaterThan(1)
  })

  it.each(['a', '!?', ' ', '\n', '😀'])('counts a megabyte of %j in no time', (piece) => {
    const started = performance.now()
    expect(countTokens(piece.repeat(2 ** 20 / piece.length))).toBeGreaterThan(8_000)
    expect(performance.now() - started).toBeLessThan(3_000)
  })
})

describe('countTokensUpTo', () => {
  /** Half a second's work where nothing is in the tokenizer's cache: every count gets marks of its own. */
  function randomMarks(seed: number): string {
    let state = seed
    return Array.from({ length: 250_000 }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
      return '!?;:#$%&'[state >>> 29]
    }).join('')
  }

  it.each(texts)('counts long texts as the tokenizer does: %#', async (text) => {
    const long = `${text} `.repeat(200)
    expect(await countTokensUpTo(Number.POSITIVE_INFINITY, [long, text])).toBe(
      reference(long) + reference(text),
    )
    const digits = '1234567890'.repeat(1_000)
    expect(countTokens(digits)).toBe(reference(digits))
  })

  it('gives everything else its turn, however many count', async () => {
    const all = [1, 2, 3].map(randomMarks)
    const counts = all.map((marks) => countTokensUpTo(Number.POSITIVE_INFINITY, [marks]))
    let turns = 0
    let isCounting = true
    const turn = () => {
      turns++
      if (isCounting) setImmediate(turn)
    }
    turn()
    const totals = await Promise.all(counts)
    isCounting = false
    expect(turns).toBeGreaterThan(30)
    expect(totals).toEqual(all.map(countTokens))
  })

  it('counts hardly further than asked', async () => {
    const marks = randomMarks(4)
    const read: string[] = []
    const tokens = await countTokensUpTo(
      1_000,
      (function* () {
        for (const text of [marks, 'another']) {
          read.push(text)
          yield text
        }
      })(),
    )
    expect(tokens).toBeGreaterThan(1_000)
    expect(tokens).toBeLessThan(2_500)
    expect(read).toEqual([marks])
  })
})

describe('OutputMeter', () => {
  it.each(texts)('counts the same however the text is cut: %#', (text) => {
    for (const size of [1, 2, 3, 7, 50, 400]) {
      const meter = new OutputMeter()
      for (let at = 0; at < text.length; at += size) meter.add('text', text.slice(at, at + size))
      expect(meter.tokens).toBe(reference(text))
    }
  })

  it('counts several texts apart', () => {
    const meter = new OutputMeter()
    for (const piece of ['Hel', 'lo', ' wor', 'ld']) {
      meter.add('one', piece)
      meter.add('two', piece)
    }
    expect(meter.tokens).toBe(2 * reference('Hello world'))
  })
})
