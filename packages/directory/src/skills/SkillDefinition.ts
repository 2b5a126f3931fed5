/** A skill: a recipe over providers that an agent follows. */
import { z } from 'zod'
import { categories, protocols } from '../Provider.ts'
import { assertReferences } from './assertReferences.ts'
import { deepest, depthOf } from './depthOf.ts'
import type { Json } from './fillTemplate.ts'

export const mostSteps = 12
export const mostInputs = 20
/** Characters of the JSON of a definition. */
export const longestDefinition = 32_768

/** Without control characters, those that turn the direction of what follows, and tags, which models read and nobody sees. */
const line = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .regex(
      /^[^\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]*$/u,
      'one line, without characters that can’t be seen',
    )
    .refine((text) => text.trim() === text, 'no spaces at its ends')

const id = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,39}$/, 'a lower-case letter, then letters, digits, - or _; at most 40')

/** As it came out of a JSON text. Deeper ones would end the recursions of what reads them. */
const json = z
  .unknown()
  .refine((value) => value !== undefined, { error: 'it is missing', abort: true })
  .refine((value) => depthOf(value as Json) <= deepest, { error: 'it is nested too deeply', abort: true })

const inputSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_]{0,39}$/, 'a letter, then letters, digits or _; at most 40')
    .describe('As {{inputs.name}} has it.'),
  description: line(300),
  type: z.enum(['string', 'number', 'boolean', 'json']),
  required: z.boolean(),
  example: json.optional().describe('A value of that type.'),
})

const requestSchema = z
  .strictObject({
    messages: z
      .array(
        z.strictObject({
          role: z.enum(['system', 'user', 'assistant']),
          content: z
            .string()
            .min(1)
            .max(16_000)
            .describe(
              'A template. One that holds a JSON object or list is filled as JSON: a text that is one placeholder becomes the value itself.',
            ),
        }),
      )
      .min(1)
      .max(10)
      .optional()
      .describe(
        'A chat; other services take JSON in the content of one user message. Either this, or a body.',
      ),
    maxTokens: z.int().min(1).max(1_000_000).optional(),
    temperature: z.number().min(0).max(2).optional(),
    body: json
      .optional()
      .describe('A template: texts in it may have placeholders. Either this, or messages.'),
    path: z
      .string()
      .regex(/^\/(?!\/)[A-Za-z0-9._~/-]{0,199}$/, 'a path from the first slash on, without a query')
      .refine((path) => !path.split('/').includes('..'), 'no ..')
      .optional()
      .describe('Where the body is sent to, below the provider’s URL; its paid endpoint by default.'),
    method: z.enum(['POST', 'PUT']).optional().describe('Of the body; POST by default.'),
  })
  .superRefine(({ messages, maxTokens, temperature, body, path, method }, { addIssue }) => {
    const refuse = (name: string, message: string) => addIssue({ code: 'custom', path: [name], message })
    if ((messages === undefined) === (body === undefined)) refuse('messages', 'either messages, or a body')
    if (body !== undefined && typeof body !== 'string' && (typeof body !== 'object' || body === null))
      refuse('body', 'an object, a list or a text')
    if (body !== undefined && maxTokens !== undefined) refuse('maxTokens', 'only with messages')
    if (body !== undefined && temperature !== undefined) refuse('temperature', 'only with messages')
    if (messages && path !== undefined) refuse('path', 'only with a body')
    if (messages && method !== undefined) refuse('method', 'only with a body')
  })

const stepSchema = z.strictObject({
  id: id.describe('As {{steps.id.output}} has it.'),
  title: line(100),
  provider: z
    .string()
    .regex(/^[\w.:@-]{1,100}$/)
    .describe('Its id in this directory.'),
  model: line(200).optional().describe('The provider’s first one by default.'),
  protocol: z.enum(protocols).describe('drain: from a channel. mpp: by the request.'),
  request: requestSchema,
  output: z.strictObject({ name: line(60), description: line(300) }),
  estimatedTokens: z
    .strictObject({ input: z.int().min(0).max(10_000_000), output: z.int().min(0).max(10_000_000) })
    .optional()
    .describe('What the step uses, where its model is paid by the token.'),
  estimatedUnits: z
    .string()
    .regex(/^(?:0|[1-9]\d{0,6})(?:\.\d{1,6})?$/, 'a decimal number')
    .optional()
    .describe('How often the listed price is paid, where that is not by the token; 1 by default.'),
})

export const skillDefinitionSchema = z
  .strictObject({
    title: line(100),
    summary: line(500),
    category: z.enum(categories).optional().describe('other by default.'),
    tags: z
      .array(z.string().regex(/^[a-z0-9][a-z0-9-]{0,29}$/, 'lower-case letters, digits and -, at most 30'))
      .max(8)
      .optional(),
    inputs: z.array(inputSchema).max(mostInputs),
    steps: z.array(stepSchema).min(1).max(mostSteps),
    output: z.strictObject({
      description: line(300),
      from: z.string().max(200).describe('steps.id.output, or a field of it: steps.id.output.field.'),
    }),
  })
  .superRefine((definition, context) => {
    if (JSON.stringify(definition).length > longestDefinition)
      context.addIssue({
        code: 'custom',
        path: [],
        message: `at most ${longestDefinition} characters in all`,
      })
    assertReferences(definition, (path, message) => context.addIssue({ code: 'custom', path, message }))
  })

export type SkillDefinition = z.infer<typeof skillDefinitionSchema>
export type SkillStep = SkillDefinition['steps'][number]
export type SkillInput = SkillDefinition['inputs'][number]
