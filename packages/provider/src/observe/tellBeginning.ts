import { Rejection, Headers as Wire } from '@drain/core'
import type { Beginning } from '../http/beginning.ts'
import type { Logger } from './Log.ts'
import type { Metrics } from './Metrics.ts'

const [codeName] = Wire.names.error

/** Counts and tells how a paid request began. */
export function tellBeginning(
  beginning: Beginning,
  metrics: Pick<Metrics, 'requests'>,
  logger: Logger,
): void {
  const outcome = beginning.ok ? 'admitted' : outcomeOf(beginning)
  metrics.requests(outcome)
  if (!beginning.ok) logger.debug('refused', { code: outcome })
}

/** One of few: the code of a refusal, or what else may come of a request. */
function outcomeOf(refused: Extract<Beginning, { ok: false }>): string {
  if (refused.isAnswer) return 'managed'
  const { plain } = refused // without it there is a response; with it, one would be made
  const code = plain ? plain.headers[codeName] : refused.response.headers.get(codeName)
  if (Rejection.isCode(code)) return code
  const { status } = plain ?? refused.response
  if (status >= 500) return 'failed'
  return status < 400 ? 'replayed' : 'malformed'
}
