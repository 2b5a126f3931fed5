/** The parameters of the list that agents read. */
import { z } from 'zod'
import { categories, protocols, tiers } from '../Provider.ts'
import type { Filter, Position } from './Snapshot.ts'

/** The most of a page, and as many as there are on one that names no number. */
export const mostOnPage = 200

const positionSchema = z.tuple([
  z.union([z.literal(0), z.literal(1)]),
  z.number(),
  z.number(),
  z.string().max(100),
])

const cursor = z
  .string()
  .max(400)
  .transform((text, context): Position => {
    try {
      const json = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
      const [online, score, latencyMs, id] = positionSchema.parse(json)
      return { online: online === 1, score, latencyMs, id }
    } catch {
      context.addIssue('it is none of this list; begin without it')
      return z.NEVER
    }
  })

export function writeCursor({ online, score, latencyMs, id }: Position): string {
  return Buffer.from(JSON.stringify([online ? 1 : 0, score, latencyMs, id])).toString('base64url')
}

const numberIn = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,10}(?:\.\d{1,10})?$/, 'it is no number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `it is not between ${least} and ${most}`)

export const listQuery = z.strictObject({
  category: z.enum(categories).optional(),
  model: z.string().min(1).max(200).optional().describe('Part of a model’s id or name.'),
  protocol: z.enum(protocols).optional(),
  tier: z.enum(tiers).optional(),
  minScore: numberIn(0, 1).optional().describe('The least quality score, 0 to 1.'),
  search: z.string().min(1).max(200).optional().describe('Part of a name, a description or a model.'),
  online: z
    .enum(['true', 'false'])
    .default('true')
    .transform((text) => text === 'true')
    .describe('false includes those that don’t answer.'),
  format: z.enum(['full', 'compact']).default('full'),
  limit: numberIn(1, mostOnPage)
    .refine(Number.isInteger, 'it is no whole number')
    .default(mostOnPage)
    .describe('How many on a page, 200 by default and at most.'),
  cursor: cursor.optional().describe('_meta.nextCursor of the page before.'),
})

export type ListQuery = z.output<typeof listQuery>

export function filterOf({ category, model, protocol, tier, minScore, search, online }: ListQuery): Filter {
  return { category, model, protocol, tier, minScore, search, online }
}
