import { describe, expect, test } from 'vitest'
import { parseProviders } from './schema.ts'

const sound = { id: 'sound', apiUrl: 'https://sound.example' }
const parsed = (entry: Record<string, unknown>) => parseProviders({ providers: [{ ...sound, ...entry }] })[0]

describe('URLs', () => {
  test.each([
    ['https://a.example\n/v1\r\n/x', 'https://a.example/v1/x'],
    ['  https://a.example/ü "q"', 'https://a.example/%C3%BC%20%22q%22'],
    ['HTTP://A.example:80', 'http://a.example/'],
  ])('%j is taken as a parser reads it', (apiUrl, href) => {
    expect(parsed({ apiUrl })?.apiUrl).toBe(href)
  })

  test.each([
    'ftp://a.example',
    'javascript:alert(1)',
    'a.example',
    '',
    7,
    'https://user:pass@a.example',
    'https://user@a.example',
    `https://a.example/${'x'.repeat(2_000)}`,
  ])('%j makes no entry', (apiUrl) => {
    expect(parsed({ apiUrl })).toBeUndefined()
  })

  test('of docs and endpoints are left out alike', () => {
    const entry = parsed({
      docsUrl: 'https://u:p@a.example',
      mppEndpoint: `https://a.example/${'é'.repeat(400)}`,
    })
    expect(entry).toMatchObject({ id: 'sound' })
    expect(entry?.docsUrl).toBeUndefined()
    expect(entry?.mppEndpoint).toBeUndefined()
  })
})

describe('ids', () => {
  test.each(['a', 'hs58-openai_2', 'https://a.example:8443/x', 'me@a.example', 'x'.repeat(100)])(
    '%j',
    (id) => {
      expect(parsed({ id })?.id).toBe(id)
    },
  )

  test.each(['', 'a b', 'a"b', 'a\nb', 'a\n', 'ä', '[x]', 'x'.repeat(101), 7, null])('but not %j', (id) => {
    expect(parsed({ id })).toBeUndefined()
  })

  test('of models have no quotes, backslashes or line breaks', () => {
    const ids = [
      'openai/gpt-4o:free',
      'Flux 1.1 [pro]',
      'a"b',
      "a'b",
      'a`b',
      'a\\b',
      'a\nb',
      ' a',
      'a\u3164b',
      '',
    ]
    const models = [...ids, 'x'.repeat(200), 'x'.repeat(201)].map((id) => ({ id }))
    expect(parsed({ models })?.models.map(({ id }) => id)).toEqual([
      'openai/gpt-4o:free',
      'Flux 1.1 [pro]',
      'x'.repeat(200),
    ])
  })
})

describe('how much', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => ({ id: `m${index}` }))

  test('200 models of one provider', () => {
    expect(parsed({ models: many(201) })?.models).toHaveLength(200)
  })

  test('20,000 models of a whole list; providers stay beyond that', () => {
    const models = many(200)
    const providers = Array.from({ length: 150 }, (_, index) => ({ ...sound, id: `p${index}`, models }))
    const kept = parseProviders({ providers })
    expect(kept).toHaveLength(150)
    expect(kept.reduce((sum, one) => sum + one.models.length, 0)).toBe(20_000)
  })

  test('one entry of an id', () => {
    const providers = [sound, { ...sound, apiUrl: 'https://evil.example' }]
    expect(parseProviders({ providers })).toMatchObject([{ id: 'sound', apiUrl: 'https://sound.example/' }])
  })
})
