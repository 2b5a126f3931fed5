import { choiceIn, type JsonObject, textIn } from './body.ts'

/** What a consumer reports of a provider, and who signed it; the signature is kept as it came. */
export type Feedback = {
  providerId: string
  outcome: 'success' | 'failure'
  protocol: 'drain' | 'mpp'
} & Partial<Record<(typeof optional)[number], string>>

const optional = ['reason', 'channelId', 'issuedAt', 'consumer', 'signature'] as const

/** @throws {Refusal} */
export function parseFeedback(body: JsonObject): Feedback {
  const given = optional.filter((name) => body[name] !== undefined)
  return {
    providerId: textIn(body, 'providerId', 200),
    outcome: choiceIn(body, 'outcome', ['success', 'failure']),
    protocol: choiceIn(body, 'protocol', ['drain', 'mpp'], 'drain'),
    ...Object.fromEntries(given.map((name) => [name, textIn(body, name, 500)])),
  }
}
