/** Tells the directory how a request went, where the owner wants that. Never who asked, and nothing of what was said. */
import type { Agent } from './createAgent.ts'

export type Telemetry = {
  providerId: string
  latencyMs: number
  httpStatus: number
  /** Decimal USDC; undefined where it isn't known. */
  costUsdc: string | undefined
  protocol: 'drain' | 'mpp'
}

const patience = 5_000

/** Sends a report without waiting for it. Fails silently: nobody's request depends on it. */
export function report(
  { settings, directory }: Pick<Agent, 'settings' | 'directory'>,
  event: Telemetry,
): void {
  if (!settings.telemetry) return
  const body = JSON.stringify({
    ...event,
    costUsdc: Number(event.costUsdc ?? 0),
    timestamp: new Date().toISOString(),
  })
  directory
    .send('/api/telemetry', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      signal: AbortSignal.timeout(patience),
    })
    .then((response) => response.body?.cancel())
    .catch(() => {})
}
