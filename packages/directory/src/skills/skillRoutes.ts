/** The routes of skills. */
import { isAddress } from 'viem'
import { z } from 'zod'
import { createRateLimit } from '../http/RateLimit.ts'
import { defineRoute, type Route } from '../http/Route.ts'
import { categories, protocols } from '../Provider.ts'
import { Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { signatureShape } from '../signing/readAction.ts'
import { createSkillbook } from './createSkillbook.ts'
import { describeSkill, summarizeSkill } from './describeSkill.ts'
import { estimateCost } from './estimateCost.ts'
import { executionOf } from './execution.ts'
import { planSteps, warningsOf } from './planSteps.ts'
import { skillDefinitionSchema } from './SkillDefinition.ts'
import type { SkillRecord } from './Skills.ts'
import { describedSchema, savedSchema, summarySchema, validatedSchema } from './skillAnswers.ts'
import { readSkillCursor, writeSkillCursor } from './skillCursor.ts'

const tag = 'Skills'
const shortly = { 'Cache-Control': 'public, max-age=5, stale-while-revalidate=60' }
const problem = { description: 'Why not, and what to do (RFC 9457).' }
const params = z.strictObject({ id: z.string().max(100) })
const signed = z.strictObject(signatureShape)

const listQuery = z.strictObject({
  status: z.enum(['published']).default('published').describe('Drafts are shown to nobody.'),
  category: z.enum(categories).optional(),
  tag: z.string().min(1).max(30).optional(),
  search: z.string().min(1).max(100).optional().describe('Part of its title, summary or tags.'),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,2}$/)
    .transform(Number)
    .refine((limit) => limit <= 100, 'at most 100')
    .optional()
    .describe('50 by default, at most 100.'),
  cursor: z.string().max(300).optional().describe('`nextCursor` of the page before.'),
})

/** Skills that a network may save anew within a day: wallets cost nothing, and what is published stays. */
export const newPerDay = 60

export function skillRoutes(rooms: Rooms): Route[] {
  const book = createSkillbook(rooms)
  const limit = createRateLimit(newPerDay, rooms.now, 86_400_000)
  const providerOf = (id: string) => rooms.snapshot.get(id)

  const saved = ({ id, author, state, definition, updatedAt }: SkillRecord, status = 200) =>
    Response.json(
      {
        ...{ id, author, status: state, definition, updatedAt: new Date(updatedAt).toISOString() },
        url: `${rooms.settings.origin}/skills/${id}`,
      },
      { status, headers: { Location: `/api/skills/${id}` } },
    )
  const answers = {
    200: { description: 'As it is now.', schema: savedSchema },
    401: problem,
    403: problem,
    404: problem,
    409: problem,
  }

  return [
    defineRoute({
      ...{ method: 'get', path: '/api/skills', tag, query: listQuery },
      summary: 'Published skills, the latest first',
      cost: 3,
      answers: {
        200: {
          description: 'A page of them.',
          schema: z.object({
            skills: z.array(summarySchema),
            total: z.number(),
            nextCursor: z.string().nullable(),
          }),
        },
      },
      async handle({ query: { limit = 50, cursor, category, tag, search } }) {
        const after = cursor === undefined ? undefined : readSkillCursor(cursor)
        const { records, total, next } = await book.skills.select({ category, tag, search }, { limit, after })
        const skills = records.map((record) => summarizeSkill(record, providerOf))
        return Response.json(
          { skills, total, nextCursor: next ? writeSkillCursor(next) : null },
          { headers: shortly },
        )
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/skills/{id}', tag, params },
      query: z.strictObject({ protocol: z.enum(protocols).optional().describe('Pay every step this way.') }),
      summary: 'A skill, what it costs at the moment, and how an agent runs it',
      answers: { 200: { description: 'All of it.', schema: describedSchema }, 404: problem, 409: problem },
      async handle({ params: { id }, query: { protocol } }) {
        const described = describeSkill(await book.published(id), providerOf, protocol)
        return Response.json(described, { headers: shortly })
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/skills/validate', tag, cost: 3 },
      summary: 'Whether a definition is valid, and what it would cost; nothing is kept',
      body: z.strictObject({ definition: z.unknown() }),
      answers: {
        200: { description: 'What is wrong with it, or how it would run.', schema: validatedSchema },
      },
      async handle({ body }) {
        const { success, data, error } = skillDefinitionSchema.safeParse(body.definition)
        if (!success) {
          const problems = error.issues.slice(0, 50).map(({ path, message }) => ({
            field: path.map(String).join('.').slice(0, 100),
            problem: message.slice(0, 300),
          }))
          return { valid: false, problems }
        }
        const planned = planSteps(data, providerOf)
        const author = { id: 'draft', author: 'its author', definition: data }
        const [cost, execution] = [estimateCost(planned), executionOf(author, planned)]
        return { valid: true, cost, execution, warnings: warningsOf(planned) }
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/skills', tag, cost: 20 },
      summary: 'Save a new skill as a draft',
      description:
        'Signed: a DirectoryAction `skill.save` whose subject is the title. Publish it with its id.',
      body: z.strictObject({
        definition: skillDefinitionSchema,
        author: z
          .string()
          .refine((text) => isAddress(text, { strict: false }), 'it is no address')
          .describe('Who signs.'),
        ...signatureShape,
      }),
      answers: {
        201: { description: 'Saved.', schema: savedSchema },
        401: problem,
        403: problem,
        409: problem,
        429: problem,
        503: problem,
      },
      async handle({ body, sent, caller }) {
        const wait = limit.take(caller.network, 1)
        if (wait > 0) {
          throw new Problem(429, 'too_many_skills', `One network may save ${newPerDay} new skills a day.`, {
            action: `Go on in ${wait} seconds, or edit one that you have.`,
            headers: { 'Retry-After': String(wait) },
          })
        }
        return saved(await book.create(body.definition, body.author, { ...body, sent }), 201)
      },
    }),
    defineRoute({
      ...{ method: 'put', path: '/api/skills/{id}', tag, params, cost: 5 },
      summary: 'Edit a skill; what is published stays so',
      description:
        'Signed by its author: `skill.save` whose subject is the id. Everybody gets the new version at once: nobody looks at it before.',
      body: z.strictObject({ definition: skillDefinitionSchema, ...signatureShape }),
      answers,
      async handle({ params: { id }, body, sent }) {
        return saved(await book.save(id, body.definition, { ...body, sent }))
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/skills/{id}/publish', tag, params, cost: 5 },
      summary: 'Show a skill to everybody',
      description: 'Signed by its author: `skill.publish` whose subject is the id.',
      ...{ body: signed, answers },
      async handle({ params: { id }, body, sent }) {
        return saved(await book.publish(id, { ...body, sent }))
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/skills/{id}/withdraw', tag, params, cost: 5 },
      summary: 'Take a skill off',
      description:
        'Signed by its author: `skill.withdraw` whose subject is the id. It can be published again.',
      ...{ body: signed, answers },
      async handle({ params: { id }, body, sent }) {
        return saved(await book.withdraw(id, { ...body, sent }))
      },
    }),
    defineRoute({
      ...{ method: 'post', path: '/api/skills/{id}/remove', tag, params, access: 'operator' },
      summary: 'Take a stranger’s skill off, for good',
      body: z.strictObject({ reason: z.string().max(500) }),
      answers: { 204: { description: 'Done.' }, 401: problem, 404: problem },
      async handle({ params: { id }, body, caller }) {
        await book.remove(id, (await caller.operator()) ?? '', body.reason)
        return new Response(null, { status: 204 })
      },
    }),
  ]
}
