/**
 * Fills the placeholders of a skill's requests: `{{inputs.name}}`, `{{steps.id.output}}`, and `{{steps.id.output.field.field}}` where that
 * output is JSON. Values are put in once and never read again, so that nothing in them is a placeholder; nothing is executed.
 */

import { deepest, depthOf } from './depthOf.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

export type TemplateValues = {
  /** By name; those that may be left out and were are `undefined`. */
  inputs: Readonly<Record<string, Json | undefined>>
  /** What each step answered, by its id. */
  outputs: Readonly<Record<string, string>>
}

/** What a placeholder names. */
export type Reference =
  | { kind: 'input'; name: string }
  | { kind: 'output'; step: string; path: readonly string[] }

/** What can't be filled in; the message names the placeholder. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
}

const placeholder = /\{\{([^{}]{0,200})\}\}/g
const name = /^[A-Za-z][A-Za-z0-9_]{0,39}$/
const stepId = /^[a-z][a-z0-9_-]{0,39}$/
const field = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
/** Characters of a filled text. */
const longest = 2_000_000

/** What the text between the braces names. `undefined`: nothing. */
export function readReference(text: string): Reference | undefined {
  const [kind, first = '', output, ...path] = text.trim().split('.')
  if (kind === 'inputs')
    return output === undefined && name.test(first) ? { kind: 'input', name: first } : undefined
  const isOutput = kind === 'steps' && stepId.test(first) && output === 'output' && path.length <= 8
  return isOutput && path.every((part) => field.test(part))
    ? { kind: 'output', step: first, path }
    : undefined
}

/** The texts between braces in a template, in their order. */
export function placeholdersOf(template: Json): string[] {
  if (typeof template === 'string') return [...template.matchAll(placeholder)].map(([, inner = '']) => inner)
  if (typeof template !== 'object' || template === null) return []
  return Object.values(template).flatMap((part) => placeholdersOf(part as Json))
}

/**
 * Fills a template. In JSON, a text that is one placeholder and nothing else becomes the value itself, of whatever type; elsewhere the
 * value is written as text. A text that holds a JSON object or list is filled as that: what is put in stays within its quotes.
 *
 * @throws {TemplateError} A placeholder that names nothing, or a value that is missing.
 */
export function fillTemplate<const template extends Json>(
  template: template,
  values: TemplateValues,
): template extends string ? string : Json {
  const resolve = bounded((text) => resolveReference(text, values))
  const filled = typeof template === 'string' ? fillText(template, resolve) : fillJson(template, resolve)
  return filled as template extends string ? string : Json
}

type Resolve = (text: string) => Json

/** Ends before what is put in becomes too long in all. */
function bounded(resolve: Resolve): Resolve {
  let room = longest
  return (text) => {
    const value = resolve(text)
    room -= typeof value === 'string' ? value.length : JSON.stringify(value).length
    if (room < 0) throw new TemplateError(`The request would be longer than ${longest} characters.`)
    return value
  }
}

/** What `steps.id.output.field` is, as {@link Reference} says. @throws {TemplateError} */
export function resolveReference(text: string, { inputs, outputs }: TemplateValues): Json {
  const reference = readReference(text)
  if (!reference) throw new TemplateError(`{{${text}}} names neither an input nor an output.`)
  if (reference.kind === 'input') {
    const value = own(inputs, reference.name)
    if (value === undefined) throw new TemplateError(`The input ${reference.name} is missing.`)
    return value
  }
  const { step, path } = reference
  const output = own(outputs, step)
  if (output === undefined) throw new TemplateError(`The step ${step} has not answered.`)
  if (path.length === 0) return output
  let value: Json | undefined = parse(output)
  for (const part of path) {
    value = typeof value === 'object' && value !== null ? own(value as Record<string, Json>, part) : undefined
  }
  if (value === undefined) throw new TemplateError(`What ${step} answered has no ${path.join('.')}.`)
  return value
}

/** A JSON object or list that a text holds, unless it is nested too deeply. */
export function jsonIn(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  const value = parse(text)
  return typeof value === 'object' && value !== null && depthOf(value) <= deepest ? value : undefined
}

function fillText(template: string, resolve: Resolve): string {
  const json = jsonIn(template)
  return json === undefined ? interpolate(template, resolve) : JSON.stringify(fillJson(json, resolve))
}

function fillJson(template: Json, resolve: Resolve): Json {
  if (typeof template === 'string') {
    const [match] = template.matchAll(placeholder)
    if (match && match[0].length === template.trim().length) return resolve(match[1] ?? '')
    return fillText(template, resolve)
  }
  if (Array.isArray(template)) return template.map((part: Json) => fillJson(part, resolve))
  if (typeof template !== 'object' || template === null) return template
  return Object.fromEntries(Object.entries(template).map(([key, part]) => [key, fillJson(part, resolve)]))
}

function interpolate(template: string, resolve: Resolve): string {
  return template.replace(placeholder, (_, inner: string) => {
    const value = resolve(inner)
    return typeof value === 'string' ? value : JSON.stringify(value)
  })
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** Never what is inherited, nor the length of a list. */
function own<value>(
  object: Readonly<Record<string, value>> | readonly value[],
  key: string,
): value | undefined {
  const isThere = Array.isArray(object) ? /^\d+$/.test(key) : true
  return isThere && Object.hasOwn(object, key) ? (object as Readonly<Record<string, value>>)[key] : undefined
}
