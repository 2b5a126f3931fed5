/** What authors and operators do to skills. */
import { randomUUID } from 'node:crypto'
import type { Hex } from 'viem'
import { isListed } from '../Provider.ts'
import { notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { assertLater } from '../register/ownership.ts'
import { readSigner } from '../signing/readAction.ts'
import type { SkillDefinition } from './SkillDefinition.ts'
import { createSkills, draftKept, mostOfAuthor, type SkillRecord, type SkillState } from './Skills.ts'

type Signed = {
  issuedAt: number
  signature: Hex
  chainId?: number | undefined
  /** The body as it came. */
  sent: Record<string, unknown>
}

export type Skillbook = ReturnType<typeof createSkillbook>

type Needs = Pick<Rooms, 'settings' | 'database' | 'snapshot' | 'now'>

export function createSkillbook(rooms: Needs, skills = createSkills(rooms.database)) {
  const { settings, database, snapshot, now } = rooms
  const ownChain = settings.chains[0]?.deployment.chainId ?? 137

  /** The lower-case address that signed. @throws {Problem} 401 */
  async function signerOf(action: string, subject: string, { issuedAt, signature, chainId, sent }: Signed) {
    const signed = { origin: settings.origin, action, subject, body: sent, issuedAt, signature, now: now() }
    return (await readSigner({ ...signed, chainId: chainId ?? ownChain })).toLowerCase()
  }

  /** @throws {Problem} 401, 403, 404, 409 */
  async function change(
    id: string,
    action: 'skill.save' | 'skill.publish' | 'skill.withdraw',
    signed: Signed,
    changes: (record: SkillRecord) => Partial<SkillRecord>,
  ): Promise<SkillRecord> {
    const signer = await signerOf(action, id, signed)
    const changed = await skills.update(id, (record) => {
      if (record.author !== signer) throw notAuthor(record.author)
      if (record.state === 'removed') {
        throw new Problem(403, 'skill_removed', 'An operator took this skill off.', {
          action: 'Ask them why.',
        })
      }
      assertLater(record, signed.issuedAt)
      return { ...changes(record), signedAt: signed.issuedAt, updatedAt: now() }
    })
    if (!changed) throw unknownSkill(id)
    return changed
  }

  /** @throws {Problem} 409 */
  function assertProviders({ steps }: SkillDefinition): void {
    const unlisted = steps.filter(({ provider }) => {
      const record = snapshot.get(provider)
      return !record || !isListed(record)
    })
    if (unlisted.length === 0) return
    const names = [...new Set(unlisted.map(({ provider }) => provider))].join(', ')
    throw new Problem(409, 'provider_not_listed', `Agents are not shown these providers: ${names}.`, {
      action: 'Use providers of GET /api/mcp/providers, or publish it when they are listed.',
      details: { steps: unlisted.map(({ id }) => id) },
    })
  }

  return {
    skills,

    /** Signed `skill.save` of the title. @throws {Problem} 401, 409, 429, 503 */
    async create(definition: SkillDefinition, author: string, signed: Signed): Promise<SkillRecord> {
      const signer = await signerOf('skill.save', definition.title, signed)
      if (signer !== author.toLowerCase()) throw notAuthor(author.toLowerCase())
      const added = await skills.add({ author: signer, definition, signedAt: signed.issuedAt, now: now() })
      if (typeof added === 'object') return added
      if (added === 'used') assertLater({ signedAt: signed.issuedAt }, signed.issuedAt)
      if (added === 'many') {
        throw new Problem(429, 'too_many_skills', `One author may have ${mostOfAuthor} skills.`, {
          action: 'Edit one that you don’t need any more.',
        })
      }
      throw new Problem(503, 'too_many_drafts', 'There are too many drafts at the moment.', {
        action: 'Try again later: old ones go.',
        headers: { 'Retry-After': String(Math.ceil(draftKept / 24_000)) },
      })
    },

    /** Signed `skill.save` of the id. What is published stays so. @throws {Problem} */
    save(id: string, definition: SkillDefinition, signed: Signed): Promise<SkillRecord> {
      return change(id, 'skill.save', signed, ({ state }) => {
        if (state === 'published') assertProviders(definition)
        return { definition }
      })
    },

    /** @throws {Problem} also 409 where agents aren't shown one of its providers. */
    publish(id: string, signed: Signed): Promise<SkillRecord> {
      return change(id, 'skill.publish', signed, ({ definition }) => {
        assertProviders(definition)
        return { state: 'published' }
      })
    },

    /** @throws {Problem} */
    withdraw(id: string, signed: Signed): Promise<SkillRecord> {
      return change(id, 'skill.withdraw', signed, () => ({ state: 'withdrawn' }))
    },

    /** By an operator, for good; written into the log. @throws {Problem} 404 */
    async remove(id: string, operator: string, reason: string): Promise<void> {
      const removed = await skills.update(id, () => ({ state: 'removed' satisfies SkillState }))
      if (!removed) throw unknownSkill(id)
      await database.run(
        'INSERT INTO actions (id, at, operator, action, subject, reason) VALUES ($1, $2, $3, $4, $5, $6)',
        ...[randomUUID(), now(), operator, 'skill.remove', id, reason],
      )
    },

    /** @throws {Problem} 404 for drafts, too: nobody but their authors needs them. */
    async published(id: string): Promise<SkillRecord> {
      const record = await skills.get(id)
      if (record?.state !== 'published') throw unknownSkill(id)
      return record
    },
  }
}

const unknownSkill = (id: string) =>
  notFound(`published skill ${JSON.stringify(id)}`, 'GET /api/skills lists those that there are.')

const notAuthor = (author: string) =>
  new Problem(403, 'not_author', `The signature is not that of ${author}.`, {
    action:
      'Sign with the author’s wallet exactly what is sent, without issuedAt and signature; see /api/drain/signing.',
  })
