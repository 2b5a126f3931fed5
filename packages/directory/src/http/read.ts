/** Checks what came in. */
import type { z } from 'zod'
import { Problem } from '../problem.ts'

/** @throws {Problem} 400 that names every field and what is wrong with it. */
export function read<schema extends z.ZodType>(
  schema: schema,
  value: unknown,
  where: string,
): z.output<schema> {
  const { success, data, error } = schema.safeParse(value)
  if (success) return data
  const fields = error.issues.slice(0, 20).map((issue) => ({
    field: issue.path.map(String).join('.').slice(0, 100),
    problem: issue.message.slice(0, 300),
  }))
  const [first] = fields
  const message = `The ${where} is not as it should be: ${first?.field ? `${first.field}: ` : ''}${first?.problem}.`
  throw new Problem(400, 'invalid_request', message.replace(/\.\.$/, '.'), {
    action: 'See /api/openapi.json for what is expected.',
    details: { fields },
  })
}
