/** Saves the skills of this folder in a directory and publishes them, signed by their author. */
import type { SkillDefinition } from '@drain/directory'
import type { LocalAccount } from 'viem'
import { signedBody } from './signedBody.ts'
import { skills } from './skills.ts'

/** Their ids, in the order of `definitions`. @throws Error with what the directory says against one. */
export async function publishSkills({
  directory,
  account,
  chainId,
  definitions = skills,
}: {
  /** Its origin. */
  directory: string
  account: LocalAccount
  chainId: number
  definitions?: readonly SkillDefinition[]
}): Promise<string[]> {
  async function send(path: string, action: string, subject: string, body: object): Promise<{ id: string }> {
    const signed = await signedBody(account, { directory, action, subject, chainId, body })
    const response = await fetch(`${directory}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(signed),
    })
    if (response.ok) return (await response.json()) as { id: string }
    throw new Error(`${subject}: ${await response.text()}`)
  }

  const ids: string[] = []
  let signedAt = 0
  for (const definition of definitions) {
    // Each signature of an author is later than the one before.
    while (Date.now() <= signedAt) await new Promise((resolve) => setImmediate(resolve))
    const { id } = await send('/api/skills', 'skill.save', definition.title, {
      definition,
      author: account.address,
    })
    signedAt = Date.now()
    while (Date.now() <= signedAt) await new Promise((resolve) => setImmediate(resolve))
    await send(`/api/skills/${id}/publish`, 'skill.publish', id, {})
    signedAt = Date.now()
    ids.push(id)
  }
  return ids
}
