import { once } from 'node:events'
import type { Streams } from '@drain/keys/node'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { createAgent } from '../createAgent.ts'
import { createServer } from '../createServer.ts'
import { readMcpSettings } from '../settings.ts'

/** Serves until the client goes away, or a signal comes. Nothing but the protocol goes to stdout. */
export async function serveOverStdio(
  env: Record<string, string | undefined>,
  { stderr }: Pick<Streams, 'stderr'>,
): Promise<0> {
  const agent = createAgent(readMcpSettings(env))
  const handle = serveStdio(() => createServer(agent))
  stderr.write('drain-mcp serves over stdio\n')
  await Promise.race([once(process.stdin, 'end'), once(process.stdin, 'close'), ...signals()])
  await handle.close()
  await agent.stop()
  // Nodes and providers may have left connections open.
  process.exit(0)
}

/** Each resolves when that signal comes. */
export function signals(): Promise<unknown>[] {
  return (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => once(process, name))
}
