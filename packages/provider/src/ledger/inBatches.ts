/**
 * Collects items while `run` works on those before, then hands over as many as `limit`: one statement for all that
 * came in meanwhile. `run` must not throw.
 */
export function inBatches<item>(limit: number, run: (items: item[]) => Promise<void>): (item: item) => void {
  const queue: item[] = []
  let isRunning = false

  function next(): void {
    if (isRunning || queue.length === 0) return
    isRunning = true
    // What arrives in the same turn of the event loop shares a batch.
    setImmediate(async () => {
      await run(queue.splice(0, limit))
      isRunning = false
      next()
    })
  }

  return (item) => {
    queue.push(item)
    next()
  }
}
