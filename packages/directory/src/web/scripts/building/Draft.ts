/** A skill while it is written: texts as they stand in the form, and what they make. */
import type { SkillDefinition } from '../../../skills/SkillDefinition.ts'

export type InputDraft = {
  name: string
  description: string
  type: string
  required: boolean
  /** JSON, or a text for the type string. */
  example: string
}

export type StepDraft = {
  id: string
  title: string
  provider: string
  model: string
  protocol: string
  kind: 'messages' | 'body'
  system: string
  user: string
  maxTokens: string
  path: string
  /** JSON. */
  body: string
  outputName: string
  outputDescription: string
  tokensIn: string
  tokensOut: string
  units: string
}

export type Draft = {
  title: string
  summary: string
  category: string
  /** With commas between them. */
  tags: string
  inputs: InputDraft[]
  steps: StepDraft[]
  outputDescription: string
  outputFrom: string
}

export type Problem = { path: readonly (string | number)[]; message: string }

export const emptyInput = (): InputDraft => ({
  ...{ name: '', description: '', type: 'string', required: true, example: '' },
})

export const emptyStep = (number: number): StepDraft => ({
  ...{ id: `step${number}`, title: '', provider: '', model: '', protocol: 'drain', kind: 'messages' },
  ...{ system: '', user: '', maxTokens: '', path: '', body: '', outputName: 'answer', outputDescription: '' },
  ...{ tokensIn: '', tokensOut: '', units: '' },
})

export const emptyDraft = (): Draft => ({
  ...{ title: '', summary: '', category: 'other', tags: '', inputs: [emptyInput()], steps: [emptyStep(1)] },
  ...{ outputDescription: '', outputFrom: 'steps.step1.output' },
})

/** What the API takes, and what is no JSON or no number in it. The schema says the rest. */
export function toDefinition(draft: Draft): { definition: unknown; problems: Problem[] } {
  const problems: Problem[] = []
  const json = (text: string, path: Problem['path']) => {
    if (text.trim() === '') return undefined
    try {
      return JSON.parse(text) as unknown
    } catch {
      problems.push({ path, message: 'it is no JSON' })
      return undefined
    }
  }
  const { title, summary, category, tags, inputs, steps, outputDescription, outputFrom } = draft
  const words = tags.split(/[\s,]+/).filter((tag) => tag !== '')
  const definition = {
    ...{ title: title.trim(), summary: summary.trim(), category },
    ...(words.length > 0 && { tags: words }),
    inputs: inputs.map(({ name, description, type, required, example }, index) => {
      const value = type === 'string' ? example || undefined : json(example, ['inputs', index, 'example'])
      return {
        ...{ name: name.trim(), description: description.trim(), type, required },
        ...(value !== undefined && { example: value }),
      }
    }),
    steps: steps.map((step, index) => {
      const { id, provider, model, protocol, outputName, outputDescription, tokensIn, tokensOut, units } =
        step
      const hasTokens = tokensIn.trim() !== '' || tokensOut.trim() !== ''
      return {
        ...{ id: id.trim(), title: step.title.trim(), provider: provider.trim(), protocol },
        ...(model !== '' && { model }),
        request: requestOf(step, (text) => json(text, ['steps', index, 'request', 'body'])),
        output: { name: outputName.trim(), description: outputDescription.trim() },
        ...(hasTokens && {
          estimatedTokens: { input: Number(tokensIn || 0), output: Number(tokensOut || 0) },
        }),
        ...(units.trim() !== '' && { estimatedUnits: units.trim() }),
      }
    }),
    output: { description: outputDescription.trim(), from: outputFrom },
  }
  return { definition, problems }
}

function requestOf(
  { kind, system, user, maxTokens, path, body }: StepDraft,
  json: (text: string) => unknown,
) {
  if (kind === 'body') return { body: json(body), ...(path.trim() !== '' && { path: path.trim() }) }
  const messages = [
    ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: user },
  ]
  return { messages, ...(maxTokens.trim() !== '' && { maxTokens: Number(maxTokens) }) }
}

/** A draft that makes this definition again, as far as the form has room for it. */
export function toDraft({ inputs, steps, output, ...rest }: SkillDefinition): Draft {
  return {
    ...{ title: rest.title, summary: rest.summary, category: rest.category ?? 'other' },
    tags: (rest.tags ?? []).join(', '),
    inputs: inputs.map(({ example, ...input }) => ({
      ...input,
      example:
        example === undefined ? '' : input.type === 'string' ? String(example) : JSON.stringify(example),
    })),
    steps: steps.map(({ request, output: { name, description }, ...step }, index) => ({
      ...emptyStep(index + 1),
      ...{ id: step.id, title: step.title, provider: step.provider, model: step.model ?? '' },
      ...{ protocol: step.protocol, kind: request.messages ? 'messages' : 'body' },
      system: request.messages?.find(({ role }) => role === 'system')?.content ?? '',
      user: request.messages?.findLast(({ role }) => role === 'user')?.content ?? '',
      ...{ maxTokens: String(request.maxTokens ?? ''), path: request.path ?? '' },
      body: request.body === undefined ? '' : JSON.stringify(request.body, undefined, 2),
      ...{ outputName: name, outputDescription: description },
      tokensIn: String(step.estimatedTokens?.input ?? ''),
      tokensOut: String(step.estimatedTokens?.output ?? ''),
      units: step.estimatedUnits ?? '',
    })),
    ...{ outputDescription: output.description, outputFrom: output.from },
  }
}
