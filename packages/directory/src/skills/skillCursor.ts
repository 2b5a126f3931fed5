/** Where a page of skills ends, as text that is passed around. */
import { invalid } from '../problem.ts'
import type { SkillPosition } from './Skills.ts'

export function writeSkillCursor({ updatedAt, id }: SkillPosition): string {
  return Buffer.from(`${updatedAt}:${id}`).toString('base64url')
}

/** @throws {Problem} 400 */
export function readSkillCursor(cursor: string): SkillPosition {
  const match = /^(\d{1,15}):([a-z0-9-]{1,100})$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'))
  if (!match)
    throw invalid('The cursor is none of this list.', 'Use nextCursor as it came, or begin without one.')
  return { updatedAt: Number(match[1]), id: match[2] ?? '' }
}
