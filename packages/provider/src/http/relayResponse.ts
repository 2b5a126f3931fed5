import { type Relayed, relayStatuses } from './openRelay.ts'
import { json, problem } from './responses.ts'

/** The answer to `POST /v1/open`. */
export function relayResponse(relayed: Relayed): Response {
  const { channelId, txHash } = relayed
  const found = { ...(channelId ? { channelId } : {}), ...(txHash ? { txHash } : {}) }
  if (relayed.ok) return json(found, 200, { 'Cache-Control': 'private, no-store' })
  const { code, message, retryAfterSeconds } = relayed
  if (!channelId && retryAfterSeconds === undefined) return problem(relayStatuses[code], code, message)
  const error = { message, type: 'invalid_request_error', code }
  return json({ error, ...found }, relayStatuses[code], {
    'Cache-Control': 'no-store',
    ...(retryAfterSeconds === undefined ? {} : { 'Retry-After': retryAfterSeconds.toString() }),
  })
}
