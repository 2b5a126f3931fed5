import type { Json } from './fillTemplate.ts'
import type { SkillStep } from './SkillDefinition.ts'

/** What of a step's request has placeholders, and where. */
export function templatesOf({ request }: SkillStep): { path: (string | number)[]; template: Json }[] {
  if (request.body !== undefined) return [{ path: ['body'], template: request.body as Json }]
  return (request.messages ?? []).map(({ content }, index) => ({
    path: ['messages', index, 'content'],
    template: content,
  }))
}
