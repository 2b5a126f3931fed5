import type { SkillDefinition } from '../src/skills/SkillDefinition.ts'

/** A valid skill of one step, over the provider `one`. */
export function aSkill(changes: Partial<SkillDefinition> = {}): SkillDefinition {
  return {
    title: 'Ask one',
    summary: 'Asks the first provider.',
    tags: ['asking'],
    inputs: [
      {
        name: 'text',
        description: 'What to ask.',
        type: 'string',
        required: true,
        example: 'What is a channel?',
      },
    ],
    steps: [
      {
        id: 'ask',
        title: 'Ask',
        provider: 'one',
        model: 'small',
        protocol: 'drain',
        request: { messages: [{ role: 'user', content: '{{inputs.text}}' }], maxTokens: 100 },
        output: { name: 'Answer', description: 'Text.' },
        estimatedTokens: { input: 1_000, output: 100 },
      },
    ],
    output: { description: 'The answer.', from: 'steps.ask.output' },
    ...changes,
  }
}
