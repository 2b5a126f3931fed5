import { describe, expect, test } from 'vitest'
import { readPricing } from './readPricing.ts'

const provider = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8'
const checksummed = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const good = { inputPer1kTokens: '0.01', outputPer1kTokens: '0.1' }
const sound = { provider, chainId: 137, models: { small: good } }
const read = (changed: Record<string, unknown> = {}) => readPricing(JSON.stringify({ ...sound, ...changed }))

function listOf(changed: Record<string, unknown>) {
  const result = read(changed)
  if (!result.ok) throw new Error(result.problem)
  return result.list
}

test('what the original marketplace’s providers answer', () => {
  expect(read()).toEqual({
    ok: true,
    list: {
      providerAddress: checksummed,
      chainId: 137,
      contract: undefined,
      name: undefined,
      models: [{ id: 'small', name: 'small', ...good }],
      leftOut: [],
    },
  })
})

test('looks at a thousand entries of a list, and at no more', () => {
  const bad = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`bad-${index}`, 1]))
  expect(listOf({ models: { ...bad, late: good } }).models).toEqual([])
  const { 'bad-0': _first, ...fewer } = bad
  expect(listOf({ models: { ...fewer, late: good } }).models).toHaveLength(1)
})

test('what today’s answer, with contract, name and units', () => {
  const image = {
    ...good,
    type: 'unit',
    unit: 'image',
    pricePerUnit: '0.01',
    defaultMaxTokens: 5,
    name: 'Images',
  }
  const list = listOf({
    providerName: ' A\n name\u202e ',
    contract: provider,
    currency: 'USDC',
    models: { image },
  })
  expect(list).toMatchObject({ name: 'A name', contract: checksummed })
  expect(list.models).toEqual([{ id: 'image', name: 'Images', ...good, type: 'unit', unit: 'image' }])
})

describe('no list', () => {
  test.each([
    ['nothing', ''],
    ['a web page', '<!doctype html>'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a very deep list', '['.repeat(500_000)],
    ['no address', JSON.stringify({ ...sound, provider: undefined })],
    ['an address that is too short', JSON.stringify({ ...sound, provider: '0x1234' })],
    ['an address that is a list', JSON.stringify({ ...sound, provider: [provider] })],
    ['a chain in a string', JSON.stringify({ ...sound, chainId: '137' })],
    ['half a chain', JSON.stringify({ ...sound, chainId: 1.5 })],
    ['chain 0', JSON.stringify({ ...sound, chainId: 0 })],
    ['a contract that is none', JSON.stringify({ ...sound, contract: 'https://x.example' })],
    ['a list of models', JSON.stringify({ ...sound, models: [good] })],
    ['no models', JSON.stringify({ ...sound, models: null })],
  ])('%s', (_, text) => {
    const result = readPricing(text)
    expect(result.ok).toBe(false)
    if (!result.ok) expect(result.problem).toMatch(/^(?:it|`\w+`) is \S/)
  })

  test('and nothing of what was sent is told again', () => {
    const result = read({ provider: '<script>alert(1)</script>' })
    expect(JSON.stringify(result)).not.toContain('script')
  })
})

describe('models that can’t be read are left out, with the reason', () => {
  test.each([
    ['a price in a number', { ...good, inputPer1kTokens: 0.01 }],
    ['no price', {}],
    ['a negative price', { ...good, inputPer1kTokens: '-1' }],
    ['an exponent', { ...good, inputPer1kTokens: '1e-3' }],
    ['a price in hex', { ...good, outputPer1kTokens: '0x1' }],
    ['a very long price', { ...good, inputPer1kTokens: '9'.repeat(500) }],
    ['a price with a line end', { ...good, inputPer1kTokens: '1\n' }],
    ['an unknown kind', { ...good, type: 'auction' }],
    ['a text', 'cheap'],
    ['null', null],
  ])('%s', (_, model) => {
    const list = listOf({ models: { bad: model, good } })
    expect(list.models.map(({ id }) => id)).toEqual(['good'])
    expect(list.leftOut).toEqual([expect.stringMatching(/^bad: \S/)])
  })

  test.each([
    ['an empty one', ''],
    ['a long one', 'x'.repeat(201)],
    ['quotes', 'a"b'],
    ['a control sign', 'a\u0000b'],
    ['a direction', 'a\u202eb'],
  ])('ids: %s', (_, id) => {
    const list = listOf({ models: { [id]: good } })
    expect(list.models).toEqual([])
    expect(list.leftOut[0]?.length).toBeLessThan(200)
  })

  test('ids that are words of the language are ids', () => {
    const text = `{"provider":"${provider}","chainId":1,"models":{"__proto__":${JSON.stringify(good)},"constructor":${JSON.stringify(good)}}}`
    const result = readPricing(text)
    expect(result.ok && result.list.models.map(({ id }) => id)).toEqual(['__proto__', 'constructor'])
  })

  test('at most 200 are kept, and ten reasons', () => {
    const many = (model: unknown) =>
      Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`m${index}`, model]))
    const list = listOf({ models: many(good) })
    expect(list.models).toHaveLength(200)
    expect(list.leftOut).toEqual(['only the first 200 models are kept'])
    expect(listOf({ models: many({}) }).leftOut.length).toBeLessThanOrEqual(10)
  })
})
