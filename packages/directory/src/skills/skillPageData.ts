/** Skills as the pages show them. */
import type { Rooms } from '../Rooms.ts'
import type { PageData, SkillData, SkillSummary } from '../web/PageData.ts'
import { type DescribedSkill, describeSkill, summarizeSkill } from './describeSkill.ts'
import { createSkills, type SkillRecord } from './Skills.ts'
import { readSkillCursor, writeSkillCursor } from './skillCursor.ts'

export function skillPageData({
  database,
  snapshot,
}: Pick<Rooms, 'database' | 'snapshot'>): Pick<PageData, 'skills' | 'skill'> {
  const skills = createSkills(database)
  const providerOf = (id: string) => snapshot.get(id)
  return {
    async skills({ search, category, limit, cursor }) {
      const after = cursor === undefined ? undefined : readSkillCursor(cursor)
      const { records, total, next } = await skills.select({ search, category }, { limit, after })
      const shown = records.map((record): SkillSummary => {
        const { id, title, summary, tags, author, steps, cost } = summarizeSkill(record, providerOf)
        return { id, title, summary, tags, author, steps, cost, updatedAt: record.updatedAt }
      })
      return { skills: shown, total, ...(next && { next: writeSkillCursor(next) }) }
    },
    async skill(id, protocol) {
      const record = await skills.get(id)
      if (record?.state !== 'published') return undefined
      return toSkillData(record, describeSkill(record, providerOf, protocol))
    },
  }
}

function toSkillData(record: SkillRecord, { cost, execution, warnings }: DescribedSkill): SkillData {
  const { id, author, updatedAt, definition } = record
  const { title, summary, tags = [], inputs, steps, output } = definition
  return {
    ...{ id, title, summary, tags, author, updatedAt, warnings, output: output.description },
    inputs: inputs.map(({ name, type, description, required, example }) => ({
      ...{ name, type, description, required },
      ...(example !== undefined && {
        example: typeof example === 'string' ? example : JSON.stringify(example),
      }),
    })),
    steps: steps.map(({ id, title, provider, model, protocol, request, output }, index) => ({
      ...{ id, title, provider, model, protocol, request: JSON.stringify(request, null, 2) },
      ...{ output: `${output.name}: ${output.description}`, cost: cost.steps[index]?.usdc ?? null },
    })),
    cost: { total: cost.total, note: cost.note },
    execution: {
      ...{ instructions: execution.instructions, toolsNeeded: execution.tools_needed },
      protocol: execution.protocol,
    },
  }
}
