/** Loads something when it is needed first, in a browser from a file of its own. A load that fails is tried again. */
export function lazily<loaded>(load: () => Promise<loaded>): () => Promise<loaded> {
  let loading: Promise<loaded> | undefined
  return () => {
    loading ??= load().catch((error) => {
      loading = undefined
      throw error
    })
    return loading
  }
}
