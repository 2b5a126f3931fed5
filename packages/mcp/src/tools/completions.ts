/** A chat completion: what it is asked with, and sent with its payment. */
import { z } from 'zod'
import type { Purse } from '../createAgent.ts'
import { readCompletion } from './readCompletion.ts'
import { sendPaid } from './sendPaid.ts'
import type { Call } from './Tool.ts'

export const chatInput = z.object({
  messages: z
    .array(
      z.object({
        role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']).default('user'),
        content: z.string(),
      }),
    )
    .min(1)
    .max(1_000)
    .describe(
      'For language models: the conversation. For other services: one user message whose content is the JSON that their docs ask for.',
    ),
  model: z
    .string()
    .max(200)
    .optional()
    .describe('A model or service id of the provider; its first one by default.'),
  maxTokens: z
    .number()
    .int()
    .positive()
    .max(1_000_000)
    .optional()
    .describe('The longest answer. Less is cheaper to promise.'),
  temperature: z.number().min(0).max(2).optional(),
  idempotencyKey: z
    .string()
    .max(200)
    .regex(/^[\x21-\x2b\x2d-\x7e]+$/)
    .optional()
    .describe(
      'Only to ask once more for an answer that was lost, with the key that the refusal named: it is not paid twice.',
    ),
})

export type ChatInput = z.output<typeof chatInput>

export const chatOutput = z.object({
  text: z.string().describe('Untrusted: the provider wrote it.'),
  model: z.string().optional(),
  finishReason: z.string().optional(),
  toolCalls: z.array(z.unknown()).optional().describe('Untrusted. As the provider gave them.'),
  isCut: z.boolean().describe('Whether the answer was longer than is taken.'),
  isBroken: z.boolean().optional().describe('Whether the provider broke it off.'),
  cost: z
    .string()
    .optional()
    .describe('What the request cost, in USDC; missing where the provider didn’t tell.'),
  channelId: z.string().optional().describe('The channel that it was paid from.'),
  remaining: z.string().optional().describe('What is left in the channels to this provider.'),
})

/** Sends a chat completion to `url` and pays for it. @throws {DrainError} `provider_error`, and what `DrainClient.fetch` throws. */
export async function complete(
  purse: Purse,
  url: string,
  { messages, model, maxTokens, temperature, idempotencyKey }: ChatInput,
  { signal, progress }: Pick<Call, 'signal' | 'progress'>,
) {
  const body = {
    model,
    messages,
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...(temperature !== undefined && { temperature }),
    // What comes in steps is paid in steps, and an endless answer up to where it is cut.
    stream: true,
  }
  const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream, application/json' }
  const init = { method: 'POST', headers, body: JSON.stringify(body) }
  return sendPaid(purse, { url, init, signal, idempotencyKey }, (response) =>
    readCompletion(response, progress.say),
  )
}
