/** A skill as it stands at the moment: what it does, costs, needs, and what may go wrong. */
import type { Protocol } from '../Provider.ts'
import { type Cost, estimateCost } from './estimateCost.ts'
import { type Execution, executionOf } from './execution.ts'
import { type ProviderOf, planSteps, warningsOf } from './planSteps.ts'
import type { SkillDefinition } from './SkillDefinition.ts'
import type { SkillRecord, SkillState } from './Skills.ts'

export type SkillProvider = {
  id: string
  /** `null` where it isn't listed. */
  name: string | null
  apiUrl: string | null
  protocol: Protocol | null
  status: 'unknown' | 'online' | 'degraded' | 'offline' | 'not listed'
  score: number | null
  latencyMs: number | null
}

export type DescribedSkill = {
  id: string
  author: string
  status: SkillState
  createdAt: string
  updatedAt: string
  definition: SkillDefinition
  providers: SkillProvider[]
  cost: Cost
  execution: Execution
  warnings: string[]
}

/** @throws {Problem} 409 where a provider can't be paid by `protocol`. */
export function describeSkill(
  record: SkillRecord,
  providerOf: ProviderOf,
  protocol?: Protocol | undefined,
): DescribedSkill {
  const { id, author, state, definition, createdAt, updatedAt } = record
  const planned = planSteps(definition, providerOf, protocol)
  const byId = new Map(planned.map(({ step, provider }) => [step.provider, provider]))
  const providers = [...byId].map(([id, provider]) => ({
    id,
    name: provider?.profile.name ?? null,
    apiUrl: provider?.apiUrl ?? null,
    protocol: provider?.protocol ?? null,
    status: provider?.health.status ?? ('not listed' as const),
    score: provider?.score ?? null,
    latencyMs: provider?.health.medianMs ?? provider?.health.latencyMs ?? null,
  }))
  return {
    ...{ id, author, status: state, definition, providers },
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
    cost: estimateCost(planned),
    execution: executionOf(record, planned),
    warnings: warningsOf(planned),
  }
}

export type SkillSummary = {
  id: string
  title: string
  summary: string
  category: string
  tags: string[]
  author: string
  status: SkillState
  steps: number
  providers: string[]
  protocol: Protocol | 'mixed'
  /** Decimal USDC; `null` where a price isn't known. */
  cost: string | null
  updatedAt: string
}

export function summarizeSkill(record: SkillRecord, providerOf: ProviderOf): SkillSummary {
  const { id, author, state, definition, updatedAt } = record
  const { title, summary, category = 'other', tags = [], steps } = definition
  const used = new Set(steps.map(({ protocol }) => protocol))
  const [only] = used
  return {
    ...{ id, title, summary, category, tags, author, status: state, steps: steps.length },
    providers: [...new Set(steps.map(({ provider }) => provider))],
    protocol: used.size === 1 && only ? only : 'mixed',
    cost: estimateCost(planSteps(definition, providerOf)).total,
    updatedAt: new Date(updatedAt).toISOString(),
  }
}
