/** Tells whoever waits for a slow call that it goes on. */
import type { ServerContext } from '@modelcontextprotocol/server'

export type Progress = {
  /** Whether anybody listens. */
  isWanted: boolean
  /** Says what is being done; while it lasts, how long it has. */
  say(message: string): void
  end(): void
}

/** How often a step that lasts is told of again, in milliseconds. */
const interval = 2_000

export function createProgress({ mcpReq }: Pick<ServerContext, 'mcpReq'>): Progress {
  const progressToken = mcpReq._meta?.progressToken
  let progress = 0
  let timer: ReturnType<typeof setInterval> | undefined

  function tell(message: string): void {
    progress += 1
    mcpReq
      .notify({
        method: 'notifications/progress',
        params: { progressToken: progressToken ?? 0, progress, message },
      })
      // Whoever has gone away hears nothing.
      .catch(() => {})
  }

  return {
    isWanted: progressToken !== undefined,
    say(message) {
      clearInterval(timer)
      if (progressToken === undefined) return
      tell(message)
      const startedAt = performance.now()
      timer = setInterval(() => {
        tell(`${message} (${Math.round((performance.now() - startedAt) / 1_000)} s)`)
      }, interval)
    },
    end: () => clearInterval(timer),
  }
}
