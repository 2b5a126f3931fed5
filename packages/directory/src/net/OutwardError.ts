import { DrainError } from '@drain/core'

/** What was wrong with a request that went out, as a caller tells it apart. */
export type OutwardCode =
  /** Not a URL that is asked: its scheme, its port, a password in it. */
  | 'url_refused'
  /** Its host has no address, or one that isn't on the public internet. The two are not told apart: that would map our network. */
  | 'address_refused'
  | 'unreachable'
  | 'timeout'
  | 'too_large'
  | 'too_many_redirects'
  | 'tls'
  /** What came isn't HTTP, or is compressed. */
  | 'bad_answer'

/** A server that strangers named was not asked, or did not answer as it should. Its message is for the one who runs that server. */
export class OutwardError extends DrainError {
  override readonly name = 'OutwardError'
  declare readonly code: OutwardCode

  constructor(code: OutwardCode, problem: string, action: string, cause?: unknown) {
    super(code, problem, { action, cause })
  }
}
