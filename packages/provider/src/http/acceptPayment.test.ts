import { expect, test } from 'vitest'
import { accepted } from './acceptPayment.ts'

const offers = ['drain/session', 'evm/charge', 'evm/session'].map((name) => ({ name }))
const all = offers.map(({ name }) => name)
const of = (header: string) => accepted(offers, header).map(({ name }) => name)

test('only what a client takes is offered, what it likes best first', () => {
  expect(of('evm/charge')).toEqual(['evm/charge'])
  expect(of('evm/charge, tempo/charge')).toEqual(['evm/charge'])
  expect(of('drain/session;q=0.5, evm/charge')).toEqual(['evm/charge', 'drain/session'])
  expect(of('evm/charge,drain/session')).toEqual(['drain/session', 'evm/charge'])
  expect(of('evm/*')).toEqual(['evm/charge', 'evm/session'])
  expect(of('*/session ; q=0.3, evm/charge;q=0.4')).toEqual(['evm/charge', 'drain/session', 'evm/session'])
  expect(of('*/*')).toEqual(all)
})

test('the most specific range counts, an opt-out too', () => {
  expect(of('*/*, drain/session;q=0')).toEqual(['evm/charge', 'evm/session'])
  expect(of('evm/*;q=0, evm/charge;q=0.1, */*')).toEqual(['drain/session', 'evm/charge'])
  expect(of('*/charge;q=0.2, */*;q=0.1')).toEqual(['evm/charge', 'drain/session', 'evm/session'])
})

test('what is malformed, or takes nothing that is here, is as if it weren’t there', () => {
  const malformed = [
    '',
    ',',
    'evm',
    'evm/charge;q=2',
    'evm/charge;q=-1',
    'evm/charge;x=1',
    'evm/charge drain/session',
    '*/*/*',
  ]
  for (const header of [...malformed, 'tempo/charge', '*/*;q=0', `evm/charge${','.repeat(3_000)}`])
    expect(of(header), header).toEqual(all)
})
