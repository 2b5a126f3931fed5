/** Whether everything that a definition refers to is there, and comes before what refers to it. */
import { type Json, jsonIn, placeholdersOf, readReference } from './fillTemplate.ts'
import type { SkillDefinition, SkillInput } from './SkillDefinition.ts'
import { templatesOf } from './templatesOf.ts'

type Path = (string | number)[]

/** Tells `report` what is wrong, with the path to it. */
export function assertReferences(
  definition: SkillDefinition,
  report: (path: Path, message: string) => void,
): void {
  const { inputs, steps, output } = definition
  assertUnique(
    inputs.map(({ name }) => name),
    (index, name) => report(['inputs', index, 'name'], `there are two inputs ${name}`),
  )
  assertUnique(
    steps.map(({ id }) => id),
    (index, id) => report(['steps', index, 'id'], `there are two steps ${id}`),
  )
  for (const [index, input] of inputs.entries()) {
    const { example } = input
    if (example !== undefined && !fits(input.type, example as Json))
      report(['inputs', index, 'example'], `it is no ${input.type}`)
    if (JSON.stringify(example ?? null).length > 4_000) report(['inputs', index, 'example'], 'it is too long')
  }

  const positions = new Map(steps.map(({ id }, index) => [id, index]))
  const byName = new Map(inputs.map((input) => [input.name, input]))
  const used = new Set<string>()
  /** `before`: how many steps have answered by then. */
  const wrongWith = (text: string, before: number): string | undefined => {
    const reference = readReference(text)
    const shown = `{{${text.slice(0, 60)}}}`
    if (!reference) return `${shown} is neither {{inputs.name}} nor {{steps.id.output}}`
    if (reference.kind === 'input') {
      used.add(reference.name)
      return byName.has(reference.name) ? undefined : `${shown}: there is no input ${reference.name}`
    }
    const position = positions.get(reference.step)
    if (position === undefined) return `${shown}: there is no step ${reference.step}`
    if (position < before) return undefined
    return position === before
      ? `${shown}: a step can’t use its own output`
      : `${shown}: the step ${reference.step} comes later; steps run in their order`
  }

  for (const [index, step] of steps.entries()) {
    for (const { path, template } of templatesOf(step)) {
      const at = ['steps', index, 'request', ...path]
      if (hasBrokenJson(template))
        report(at, 'it begins like JSON, and is none or nested too deeply; placeholders belong into quotes')
      else if (hasMarkedNames(template))
        report(at, 'names of objects must not have placeholders, and not be __proto__')
      for (const text of placeholdersOf(template)) {
        const wrong = wrongWith(text, index)
        if (wrong) report(at, wrong)
      }
    }
  }
  const from = readReference(output.from)
  if (from?.kind !== 'output') report(['output', 'from'], 'write steps.id.output, or a field of it')
  else if (!positions.has(from.step)) report(['output', 'from'], `there is no step ${from.step}`)
  for (const [index, { name, required }] of inputs.entries()) {
    if (!used.has(name)) report(['inputs', index], `no step uses ${name}`)
    // A placeholder without a value can't be filled.
    else if (!required && inputs[index]?.example === undefined)
      report(
        ['inputs', index, 'example'],
        'an input that may be left out needs an example, which is used instead',
      )
  }
}

export function fits(type: SkillInput['type'], value: Json): boolean {
  return type === 'json' || typeof value === type
}

function assertUnique(names: readonly string[], report: (index: number, name: string) => void): void {
  for (const [index, name] of names.entries()) if (names.indexOf(name) !== index) report(index, name)
}

/** Text such as `{"n": {{inputs.n}}}`: filled as text, a value could end it and begin something else. */
function hasBrokenJson(template: Json): boolean {
  if (typeof template === 'string') {
    const json = jsonIn(template)
    return json === undefined ? /^\s*(?:\{\s*"|\[\s*[{["])/.test(template) : hasBrokenJson(json)
  }
  return typeof template === 'object' && template !== null && Object.values(template).some(hasBrokenJson)
}

function hasMarkedNames(template: Json): boolean {
  const whole = typeof template === 'string' ? jsonIn(template) : template
  if (typeof whole !== 'object' || whole === null) return false
  return Object.entries(whole).some(
    ([name, part]) => name === '__proto__' || /\{\{/.test(name) || hasMarkedNames(part as Json),
  )
}
