import type { Headers as Wire } from '@drain/core'
import type { ChannelState } from '../ledger/Ledger.ts'
import { endFrames } from '../stream/frames.ts'
import { decodeAnswer } from './Answer.ts'
import { concatBytes } from './body.ts'
import { allowOrigin } from './cors.ts'
import { writePaid } from './costHeaders.ts'
import type { AnswerWriter } from './Scheme.ts'

/** Says that an answer was given before, as the drafts and other APIs do. */
const replayedName = 'Idempotency-Replayed'

/** An answer that was given before, given again: marked, and for nothing. `costs` and `account` are those of now. */
export function replay(
  outcome: Uint8Array,
  costs: Wire.Costs,
  account: ChannelState,
  writer: AnswerWriter | undefined,
): Response {
  const { status, headers: kept, body, ended } = decodeAnswer(outcome)
  // Throws on what is no header, line breaks among it.
  const headers = new Headers([...kept])
  writePaid(headers, { channelId: costs.channelId, account, writer }, costs, status)
  headers.set(replayedName, 'true')
  headers.set('Cache-Control', 'private')
  allowOrigin(headers)
  const isEmpty = status === 204 || status === 205 || status === 304
  const bytes = ended
    ? concatBytes([
        body,
        new TextEncoder().encode(endFrames(costs, ended, writer?.streamReceipt(costs, account))),
      ])
    : body
  return new Response(isEmpty ? null : (bytes as Uint8Array<ArrayBuffer>), { status, headers })
}
