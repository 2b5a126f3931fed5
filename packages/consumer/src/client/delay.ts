/** Waits, unless `signal` is aborted: then it rejects with its reason. */
export function delay(milliseconds: number, signal?: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, milliseconds)
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}

/** Waits for something that goes on by itself, unless `signal` is aborted: then it rejects with its reason. */
export async function unlessAborted<result>(
  work: Promise<result>,
  signal: AbortSignal | undefined,
): Promise<result> {
  if (!signal) return work
  // Whoever waits no longer doesn't hear of its failure either.
  work.catch(() => {})
  signal.throwIfAborted()
  let abort: () => void = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
