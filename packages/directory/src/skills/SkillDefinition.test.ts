import { describe, expect, test } from 'vitest'
import { skills } from '../../../../examples/market/src/skills.ts'
import { aSkill } from '../../test/aSkill.ts'
import { type SkillDefinition, skillDefinitionSchema } from './SkillDefinition.ts'

const problemsOf = (definition: unknown) => {
  const { error } = skillDefinitionSchema.safeParse(definition)
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}

const asking = (...contents: string[]): Partial<SkillDefinition> => ({
  steps: contents.map((content, index) => ({
    ...{ id: `s${index}`, title: 'Ask', provider: 'one', protocol: 'drain' },
    request: { messages: [{ role: 'user', content }] },
    output: { name: 'Answer', description: 'Text.' },
  })),
  output: { description: 'Text.', from: 'steps.s0.output' },
})

test.each(skills)('$title is a valid definition', (definition) => {
  expect(problemsOf(definition)).toEqual([])
})

describe('skillDefinitionSchema', () => {
  test('takes nothing away and adds nothing', () => {
    expect(skillDefinitionSchema.parse(aSkill())).toEqual(aSkill())
  })

  test.each<[string, object, string]>([
    [
      'an unknown input',
      asking('{{inputs.text}} {{inputs.other}}'),
      'steps.0.request.messages.0.content: {{inputs.other}}: there is no input other',
    ],
    [
      'an unknown step',
      asking('{{inputs.text}} {{steps.nine.output}}'),
      'steps.0.request.messages.0.content: {{steps.nine.output}}: there is no step nine',
    ],
    ['its own output', asking('{{inputs.text}} {{steps.s0.output}}'), 'a step can’t use its own output'],
    [
      'a later step',
      asking('{{inputs.text}} {{steps.s1.output}}', 'hello'),
      'steps.0.request.messages.0.content: {{steps.s1.output}}: the step s1 comes later',
    ],
    [
      'a circle',
      asking('{{inputs.text}} {{steps.s1.output}}', '{{steps.s0.output}}'),
      'the step s1 comes later',
    ],
    ['a prototype', asking('{{inputs.text}} {{inputs.__proto__}}'), 'is neither {{inputs.name}} nor'],
    [
      'code',
      asking('{{inputs.text}} {{constructor.constructor("return process")()}}'),
      'is neither {{inputs.name}} nor',
    ],
    ['JSON without quotes', asking('{"text": {{inputs.text}}}'), 'it begins like JSON, and is none'],
    [
      'a placeholder as a name',
      asking('{"{{inputs.text}}": "{{inputs.text}}"}'),
      'names of objects must not have placeholders',
    ],
    [
      'JSON too deep',
      asking(`{"a": "{{inputs.text}}", "b": ${'['.repeat(30)}${']'.repeat(30)}}`),
      'it begins like JSON, and is none or nested too deeply',
    ],
    ['an input that nobody uses', asking('hello'), 'inputs.0: no step uses text'],
    [
      'an unknown result',
      { output: { description: 'x', from: 'steps.nine.output' } },
      'output.from: there is no step nine',
    ],
    [
      'an input as the result',
      { output: { description: 'x', from: 'inputs.text' } },
      'output.from: write steps.id.output',
    ],
    [
      'the same step twice',
      { steps: [...aSkill().steps, ...aSkill().steps] },
      'steps.1.id: there are two steps ask',
    ],
    ['no steps', { steps: [] }, 'steps: '],
    ['thirteen steps', asking(...Array(13).fill('{{inputs.text}}')), 'steps: '],
    ['an unknown field', { author: '0x' }, 'Unrecognized key'],
    ['a control character', { title: 'a\u0000b' }, 'title: '],
    ['a line break', { title: 'a\nb' }, 'title: '],
    ['text that turns its direction', { title: 'a\u202eb' }, 'title: '],
    ['text that only machines see', { title: 'a\u{e0069}\u{e0067}\u{e006e}' }, 'title: '],
    ['ten thousand letters', { summary: 'x'.repeat(10_000) }, 'summary: '],
    ['a hostile tag', { tags: ['<script>'] }, 'tags.0: '],
    ['too many tags', { tags: Array(9).fill('a') }, 'tags: '],
  ])('refuses %s, and says where', (_, changes, problem) => {
    expect(problemsOf({ ...aSkill(), ...changes }).join('\n')).toContain(problem)
  })

  test.each<[string, unknown, string]>([
    [
      'messages and a body',
      { messages: [{ role: 'user', content: '{{inputs.text}}' }], body: {} },
      'request.messages: either',
    ],
    ['neither', {}, 'request.messages: either'],
    ['a path elsewhere', { body: { a: '{{inputs.text}}' }, path: '//evil.example/' }, 'request.path: '],
    ['a URL', { body: { a: '{{inputs.text}}' }, path: 'https://evil.example' }, 'request.path: '],
    ['a path upwards', { body: { a: '{{inputs.text}}' }, path: '/v1/../admin' }, 'request.path: no ..'],
    ['a number as body', { body: 3 }, 'request.body: an object'],
    [
      'an unknown role',
      { messages: [{ role: 'tool', content: '{{inputs.text}}' }] },
      'request.messages.0.role: ',
    ],
    [
      'maxTokens of a body',
      { body: { a: '{{inputs.text}}' }, maxTokens: 3 },
      'request.maxTokens: only with messages',
    ],
    [
      'a body too deep',
      { body: JSON.parse('['.repeat(20_000) + ']'.repeat(20_000)) },
      'request.body: it is nested too deeply',
    ],
  ])('refuses a request of %s', (_, request, problem) => {
    const [step] = aSkill().steps
    expect(problemsOf({ ...aSkill(), steps: [{ ...step, request }] }).join('\n')).toContain(problem)
  })

  test('an input that may be left out has an example of its type', () => {
    const [input] = aSkill().inputs
    const of = (changes: object) => problemsOf({ ...aSkill(), inputs: [{ ...input, ...changes }] }).join('\n')
    expect(of({ required: false, example: undefined })).toContain(
      'inputs.0.example: an input that may be left out',
    )
    expect(of({ example: 3 })).toContain('inputs.0.example: it is no string')
    expect(of({ type: 'number', example: 3 })).toBe('')
    expect(of({ type: 'json', example: { a: [] } })).toBe('')
    expect(of({ name: '__proto__' })).toContain('inputs.0.name')
  })

  test('is bounded in all', () => {
    const steps = asking(...Array(10).fill(`{{inputs.text}} ${'x'.repeat(5_000)}`))
    expect(problemsOf({ ...aSkill(), ...steps })).toContainEqual(expect.stringContaining('characters in all'))
  })
})

test('refuses JSON within JSON that is none', () => {
  const inner = { code: '{"text": {{inputs.text}}}' }
  for (const request of [
    { messages: [{ role: 'user', content: JSON.stringify(inner) }] },
    { body: { list: [inner] } },
  ]) {
    const [step] = aSkill().steps
    expect(problemsOf({ ...aSkill(), steps: [{ ...step, request }] }).join('\n')).toContain(
      'it begins like JSON',
    )
  }
})
