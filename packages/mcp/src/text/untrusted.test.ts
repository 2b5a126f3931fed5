import { describe, expect, test } from 'vitest'
import { oneLine, printable, printableDeep } from './untrusted.ts'

describe('printable', () => {
  test.each([
    ['control characters', '\u0000\u001b[2J\u009b'],
    ['directions', '\u202e\u2066\u061c'],
    ['tags', '\u{e0001}\u{e0041}\u{e007f}'],
    ['variation selectors that could spell', '\u{e0100}\u{e0155}\u{e01ef}\ufe00\ufe0e'],
    ['fillers', '\u3164\uffa0\u115f\u1160\u2800'],
    ['joiners of nothing', '\u034f\u00ad\u2060\ufeff\u180b\u17b4\u2064'],
    ['private use', '\ue000\u{f0000}'],
  ])('leaves out %s', (_, signs) => {
    for (const sign of signs.replace('[2J', '')) expect(printable(`a${sign}b`)).toBe('ab')
  })

  test.each([
    'two\nlines\tand a tab',
    'Grüße, 世界, नमस्ते, שלום',
    'می\u200cخواهم',
    '👩\u200d💻 ❤\ufe0f\u200d🔥',
    '7\ufe0f\u20e3',
  ])('keeps %j', (text) => {
    expect(printable(text)).toBe(text)
  })

  test('lets no row of joiners spell something', () => {
    expect(printable(`a${'\u200c\u200d\u200d\ufe0f'.repeat(50)}b`)).toBe('a\u200c\u200db')
  })

  test('a name of signs that show nothing is empty', () => {
    expect(oneLine('\u2800\u3164 \u{e0100}', 100)).toBe('')
  })
})

describe('a JSON value', () => {
  test('has its strings and keys cleaned, and nothing else changed', () => {
    const value = {
      'k\u202e': ['a\u{e0041}', 1.5, true, null, { function: { arguments: '{"a":"\\u202e"}' } }],
    }
    expect(printableDeep(value)).toEqual({
      k: ['a', 1.5, true, null, { function: { arguments: '{"a":"\\u202e"}' } }],
    })
    expect(printableDeep('a\u0000')).toBe('a')
    expect(printableDeep(JSON.parse('{"__proto__":{"x":1}}'))).toEqual(JSON.parse('{"__proto__":{"x":1}}'))
  })

  test('is bounded in depth, in values and in characters', () => {
    const deep = JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`)
    expect(JSON.stringify(printableDeep(deep))).toBe(`${'['.repeat(16)}"…"${']'.repeat(16)}`)
    const wide = Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => 0))
    expect(JSON.stringify(printableDeep(wide)).length).toBeLessThan(30_000)
    const long = { a: 'x'.repeat(150_000), b: 'y'.repeat(150_000), ['k'.repeat(1_000_000)]: 'z' }
    expect(JSON.stringify(printableDeep(long)).length).toBeLessThan(200_100)
  })
})
