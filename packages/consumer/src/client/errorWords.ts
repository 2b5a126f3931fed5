import { DrainError } from '@drain/core'

/**
 * An error's words, as far as they may be shown: addresses of nodes often carry their user's key, and viem's messages carry
 * those addresses. Of them the short message is taken, and of URLs in it the host.
 */
export function errorWords(error: unknown): string {
  if (error instanceof DrainError) {
    return hidePaths([error.shortMessage, error.details].filter(Boolean).join(' '))
  }
  if (!(error instanceof Error)) return hidePaths(String(error))
  const { shortMessage } = error as { shortMessage?: unknown }
  return hidePaths(typeof shortMessage === 'string' ? shortMessage : error.message)
}

/**
 * Takes the addresses of nodes out of an error that is passed on, and out of its causes: wherever viem has put them. What this
 * project says itself stays as it is.
 */
export function hideNodes<error>(error: error): error {
  let isFromNode = false
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    isFromNode ||= 'metaMessages' in cause
    if (!isFromNode) continue
    // Neither the message nor the stack is enumerable.
    for (const name of Object.getOwnPropertyNames(cause)) {
      const value: unknown = Reflect.get(cause, name)
      if (typeof value === 'string') Reflect.set(cause, name, hidePaths(value))
      else if (Array.isArray(value)) Reflect.set(cause, name, value.map(hideIn))
    }
  }
  return error
}

const hideIn = (value: unknown) => (typeof value === 'string' ? hidePaths(value) : value)

/** Keys stand in paths, in queries, and before the host. */
function hidePaths(text: string): string {
  return text.replace(
    /\b(https?|wss?):\/\/(?:[^\s/?#"'@]*@)?([^\s/?#"']+)([^\s"']*)/gi,
    (whole, scheme, host, rest) =>
      host === 'viem.sh' ? whole : `${scheme}://${host}${rest === '' || rest === '/' ? rest : '/…'}`,
  )
}
