import { describe, expect, test } from 'vitest'
import { fillTemplate, readReference, resolveReference, TemplateError } from './fillTemplate.ts'

const inputs = {
  text: 'He said "no".\n\\ {"a": 1}',
  count: 3,
  yes: true,
  list: [1, { a: '{{inputs.text}}' }],
  sly: '{{inputs.count}} {{steps.one.output}}',
}
const outputs = {
  one: '{"words": 7, "deep": {"list": ["x", "y"]}, "__proto__": {"polluted": 1}}',
  two: 'plain "text"',
}
const values = { inputs, outputs }

describe('fillTemplate', () => {
  test('puts values into text', () => {
    expect(fillTemplate('{{inputs.count}} of {{ steps.one.output.words }}: {{inputs.list}}', values)).toBe(
      '3 of 7: [1,{"a":"{{inputs.text}}"}]',
    )
  })

  test('keeps what is put into JSON within its quotes', () => {
    const filled = fillTemplate(
      '{"text": "{{inputs.text}}", "said": "it is {{inputs.text}}", "{": 1}',
      values,
    )
    expect(JSON.parse(filled)).toEqual({ text: inputs.text, said: `it is ${inputs.text}`, '{': 1 })
  })

  test('gives a text that is one placeholder the value and its type', () => {
    const template = {
      n: '{{inputs.count}}',
      b: '{{inputs.yes}}',
      l: ['{{inputs.list}}'],
      w: '{{steps.one.output.words}}',
    }
    expect(fillTemplate(template, values)).toEqual({ n: 3, b: true, l: [inputs.list], w: 7 })
    expect(JSON.parse(fillTemplate(JSON.stringify(template), values))).toEqual({
      n: 3,
      b: true,
      l: [inputs.list],
      w: 7,
    })
  })

  test('reads nothing in a value as a placeholder', () => {
    expect(fillTemplate('{{inputs.sly}}', values)).toBe(inputs.sly)
    expect(fillTemplate({ a: 'x {{inputs.sly}}' }, values)).toEqual({ a: `x ${inputs.sly}` })
  })

  test('reads no replacement patterns in a value', () => {
    expect(fillTemplate('a {{inputs.text}}', { inputs: { text: "$& $1 $` $'" }, outputs })).toBe(
      "a $& $1 $` $'",
    )
  })

  test.each([
    ['inputs.missing', 'The input missing is missing'],
    ['inputs.constructor', 'The input constructor is missing'],
    ['inputs.toString', 'The input toString is missing'],
    ['inputs.__proto__', 'names neither'],
    ['steps.constructor.output', 'The step constructor has not answered'],
    ['steps.one.output.__proto__', 'names neither'],
    ['steps.one.output.__proto__.polluted', 'names neither'],
    ['steps.one.output.constructor', 'has no constructor'],
    ['steps.one.output.deep.list.length', 'has no deep.list.length'],
    ['steps.one.output.words.toFixed', 'has no words.toFixed'],
    ['steps.two.output.length', 'has no length'],
    ['steps.three.output', 'The step three has not answered'],
    ['1 + 1', 'names neither'],
    ['process.exit()', 'names neither'],
    ['', 'names neither'],
  ])('refuses {{%s}}', (text, message) => {
    expect(() => fillTemplate(`{{${text}}}`, values)).toThrow(TemplateError)
    expect(() => fillTemplate(`{{${text}}}`, values)).toThrow(message)
  })

  test('does not grow beyond its bounds', () => {
    const large = { inputs: { text: 'x'.repeat(100_000) }, outputs: {} }
    expect(() => fillTemplate('{{inputs.text}}'.repeat(1_000), large)).toThrow('would be longer')
    expect(() => fillTemplate(Array(1_000).fill('{{inputs.text}}'), large)).toThrow('would be longer')
  })

  test('reads fields of JSON, lists too', () => {
    expect(resolveReference('steps.one.output.deep.list.1', values)).toBe('y')
    expect(resolveReference('steps.two.output', values)).toBe('plain "text"')
  })
})

test('readReference reads what a placeholder names', () => {
  expect(readReference(' inputs.a ')).toEqual({ kind: 'input', name: 'a' })
  expect(readReference('steps.a-b.output.c.d')).toEqual({ kind: 'output', step: 'a-b', path: ['c', 'd'] })
  expect(readReference('steps.a')).toBeUndefined()
  expect(readReference('inputs.a.b')).toBeUndefined()
  expect(readReference(`steps.a.output${'.b'.repeat(9)}`)).toBeUndefined()
})
