import { DrainError, Feedback, Usdc } from '@drain/core'
import type { Hex } from 'viem'
import { signTypedData } from 'viem/actions'
import { z } from 'zod'
import type { Purse } from '../createAgent.ts'
import type { Directory } from '../directory/Directory.ts'
import type { Provider } from '../directory/schema.ts'
import { readText } from '../net/readBody.ts'
import { oneLine } from '../text/untrusted.ts'
import { channelId } from './shapes.ts'
import { defineTool } from './Tool.ts'

const patience = 10_000

export const feedback = defineTool({
  name: 'drain_feedback',
  title: 'Report how it went',
  description: `Tells the directory whether a provider did what it promised: others find good ones by it. Signed by this wallet, counted once for each channel.
Reasons for failures: quality, timeout, error, format, unavailable, or a few words.`,
  input: z.object({
    providerId: z.string().min(1).max(200).optional().describe('From drain_providers.'),
    outcome: z.enum(['success', 'failure']).optional(),
    reason: z.string().max(Feedback.longestReason).optional(),
    protocol: z.enum(['drain', 'mpp']).optional().describe('How it was paid; drain by default.'),
    channelId: channelId.optional().describe('The channel that it is about; instead of providerId, too.'),
    rating: z.enum(['works', 'broken']).optional().describe('An older name for the outcome.'),
  }),
  output: z.object({
    providerId: z.string(),
    outcome: z.enum(['success', 'failure']),
    accepted: z.boolean(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  async run(given, { agent, progress }) {
    const outcome = given.outcome ?? (given.rating && (given.rating === 'works' ? 'success' : 'failure'))
    if (!outcome) throw missing('an outcome', 'Say outcome: "success" or "failure".')
    const purse = await agent.purse()
    const provider = await whom(given, purse, agent.directory)
    const { account, deployment, client } = purse.wallet
    const channel = given.channelId ?? (await lastChannel(purse, provider))
    const unsigned = {
      ...{ providerId: provider.id, outcome, reason: given.reason ?? '', channelId: channel },
      protocol: given.protocol ?? provider.protocol,
      issuedAt: BigInt(Math.floor(Date.now() / 1_000)),
    }
    progress.say('Sending')
    const signature = await signTypedData(client, { account, ...Feedback.typedData(unsigned, deployment) })
    const body = JSON.stringify(Feedback.toJson({ ...unsigned, consumer: account.address, signature }))
    const response = await agent.directory
      .send('/api/feedback', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body,
        redirect: 'manual',
        signal: AbortSignal.timeout(patience),
      })
      .catch((cause) => {
        throw new DrainError('feedback_unsent', 'The directory does not answer.', {
          action: 'Leave it, or try again later: nothing depends on it.',
          cause,
        })
      })
    const { text } = await readText(response, 4_096)
    if (!response.ok) {
      throw new DrainError(
        'feedback_refused',
        `The directory refuses the report (HTTP ${response.status}).`,
        {
          details: oneLine(text, 300),
          action: 'Leave it: nothing depends on it.',
        },
      )
    }
    return {
      text: `Reported ${outcome} for ${oneLine(provider.id, 200)}.`,
      data: { providerId: provider.id, outcome, accepted: true },
    }
  },
})

/** Whom a report is about: as the directory names whoever the channel pays, at that server. */
async function whom(
  { providerId, channelId }: { providerId?: string | undefined; channelId?: Hex | undefined },
  purse: Purse,
  directory: Directory,
): Promise<Pick<Provider, 'id' | 'apiUrl' | 'protocol'>> {
  if (providerId) return directory.find(providerId)
  if (!channelId) throw missing('a provider', 'Say providerId, or the channelId that it was paid from.')
  const { provider, origin } = await purse.channel(channelId)
  await directory.list({ onlineOnly: false, limit: 1 })
  const id = directory.idOf(origin, provider)
  if (id) return { id, apiUrl: origin, protocol: 'drain' }
  throw missing('a provider', 'The directory doesn’t list this one for sure: say providerId.')
}

/** The last one that has paid it. */
async function lastChannel(
  { client }: Purse,
  { apiUrl }: Pick<Provider, 'apiUrl'>,
): Promise<Hex | undefined> {
  const { origin } = new URL(apiUrl)
  const paid = (await client.channels()).filter(
    (one) => one.origin === origin && Usdc.parse(one.charged) > 0n,
  )
  return paid.sort((one, other) => Number(other.expiry - one.expiry))[0]?.channelId
}

function missing(what: string, action: string): DrainError {
  return new DrainError('invalid_format', `The report lacks ${what}.`, { action })
}
