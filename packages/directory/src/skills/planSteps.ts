/** How each step of a skill would be paid at this moment. */
import { isListed, type Protocol, type ProviderRecord } from '../Provider.ts'
import { Problem } from '../problem.ts'
import type { SkillDefinition, SkillStep } from './SkillDefinition.ts'

export type PlannedStep = {
  step: SkillStep
  /** As agents see it; `undefined` where it isn't listed. */
  provider: ProviderRecord | undefined
  protocol: Protocol
}

export type ProviderOf = (id: string) => ProviderRecord | undefined

/**
 * @param protocol Pays every step that way.
 * @throws {Problem} 409 where a provider doesn't offer that.
 */
export function planSteps(
  { steps }: SkillDefinition,
  providerOf: ProviderOf,
  protocol?: Protocol | undefined,
): PlannedStep[] {
  const planned = steps.map((step) => {
    const found = providerOf(step.provider)
    const provider = found && isListed(found) ? found : undefined
    return { step, provider, protocol: protocol ?? step.protocol }
  })
  const unable = protocol
    ? planned.filter(({ step, provider }) =>
        provider ? !offers(provider, protocol) : step.protocol !== protocol,
      )
    : []
  if (unable.length === 0) return planned
  const names = [...new Set(unable.map(({ step }) => step.provider))]
  throw new Problem(409, 'protocol_unavailable', `${names.join(', ')} can’t be paid by ${protocol} here.`, {
    action: 'Leave the parameter protocol out: each step is then paid as its author chose.',
    details: { steps: unable.map(({ step }) => step.id), providers: names },
  })
}

export function offers({ protocol, profile }: ProviderRecord, wanted: Protocol): boolean {
  return protocol === wanted || (wanted === 'mpp' && profile.mppEndpoint !== null)
}

/** What may keep a skill from working, in sentences. */
export function warningsOf(planned: readonly PlannedStep[]): string[] {
  const warnings = planned.flatMap(({ step, provider, protocol }) => {
    const name = step.provider
    if (!provider)
      return [
        `${name} is not listed here: the step ${step.id} can’t be paid. Ask the author, or use another provider.`,
      ]
    const { status } = provider.health
    return [
      ...(status === 'degraded' ? [`${name} does not answer as it should at the moment.`] : []),
      ...(status === 'offline' ? [`${name} is offline: do not begin before it is back.`] : []),
      ...(status === 'unknown' ? [`${name} was not asked yet: whether it works is not known.`] : []),
      ...(offers(provider, protocol)
        ? []
        : [`${name} is not known to take ${protocol}, which the step ${step.id} is paid by.`]),
      ...(modelOf(step, provider) === null
        ? [`${name} does not list the model ${step.model} at the moment.`]
        : []),
    ]
  })
  return [...new Set(warnings)]
}

/** The model that a step uses. `null`: the provider doesn't list it; `undefined`: it lists none at all. */
export function modelOf({ model }: SkillStep, { offer }: ProviderRecord) {
  if (model === undefined) return offer.models[0]
  return offer.models.find(({ id }) => id === model) ?? (offer.models.length === 0 ? undefined : null)
}
