import { describe, expect, test } from 'vitest'
import * as WwwAuthenticate from './WwwAuthenticate.ts'

const parse = (header: string | null) =>
  WwwAuthenticate.parse(header).map(({ scheme, params }) => [scheme, params && Object.fromEntries(params)])

test('challenges of several schemes in one header', () => {
  expect(parse('Basic realm="a, Payment id=", Negotiate, Payment ID=1 , method="e\\"v\\\\m" ,, x')).toEqual([
    ['Basic', { realm: 'a, Payment id=' }],
    ['Negotiate', {}],
    ['Payment', { id: '1', method: 'e"v\\m' }],
    ['x', {}],
  ])
})

test('UTF-16 units that a header can’t carry', () => {
  expect(parse('Payment description="10 \\u20ac, \\u00e9, \\uZ"')).toEqual([
    ['Payment', { description: '10 €, é, uZ' }],
  ])
})

test('a challenge whose parameter is repeated or not quoted rightly has none, the next has its own', () => {
  expect(parse('A x="1", X="2", B y=3')).toEqual([
    ['A', undefined],
    ['B', { y: '3' }],
  ])
  expect(parse('A x=1"2, B y=3')).toEqual([
    ['A', undefined],
    ['B', { y: '3' }],
  ])
})

test('a quoted value without an end is none', () => {
  expect(parse(`A x="${'\\'.repeat(60_001)}`)).toEqual([['A', undefined]])
})

describe('nothing', () => {
  test.each([
    ['no header', null],
    ['an empty one', ''],
    ['commas', ','.repeat(60_000)],
    ['quotes', '"'.repeat(60_000)],
    ['open quotes again and again', 'a="'.repeat(20_000)],
    ['one that is too long', `A x="${'y'.repeat(65_536)}"`],
  ])('%s', (_, header) => expect(parse(header)).toEqual([]))
})
