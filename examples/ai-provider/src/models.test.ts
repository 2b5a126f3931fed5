import { Pricing } from '@drain-protocol/sdk'
import { expect, it } from 'vitest'
import { parseModels } from './models.ts'

it('puts the margin on list prices and on prices of your own, exactly', () => {
  const models = parseModels('gpt-4o-mini, meta/llama-3.1:8b=0.00005/0.00008', 1_250)
  expect([...models.keys()]).toEqual(['gpt-4o-mini', 'meta/llama-3.1:8b'])
  expect([...models.values()].map(({ pricing }) => Pricing.toJson(pricing))).toMatchObject([
    { inputPer1kTokens: '0.00016875', outputPer1kTokens: '0.000675', defaultMaxTokens: 1_024 },
    { inputPer1kTokens: '0.00005625', outputPer1kTokens: '0.00009', defaultMaxTokens: 1_024 },
  ])
})

it('knows which models reason in secret', () => {
  const models = parseModels('gpt-5-mini,my-reasoner=0.001/0.004/reasoning,gpt-4o', 0)
  expect([...models.values()].map(({ hidesReasoning }) => hidesReasoning)).toEqual([true, true, false])
  expect(models.get('gpt-5-mini')?.pricing.defaultMaxTokens).toBe(4_096)
})

it.each([
  ['gpt-9', 'the price of gpt-9 is unknown'],
  ['constructor', 'the price of constructor is unknown'],
  ['a=1', 'a must be written as id=input/output'],
  ['a=1/2/3', 'a must be written as id=input/output'],
  ['=1/2', 'must be written as id=input/output'],
  ['a=-1/2', 'is not a valid amount'],
  ['gpt-4o,gpt-4o', 'gpt-4o is listed twice'],
  [' , ', 'names no model'],
])('refuses %j', (text, message) => {
  expect(() => parseModels(text, 0)).toThrow(message)
})
