/** What the paywall reads of a request: a web-standard `Request` will do, and so will less. */
export type RequestHead = {
  readonly method: string
  /** Absolute and normalized, as `new URL(…).href` has it. */
  readonly url: string
  readonly headers: Pick<Headers, 'get' | 'has'>
}
