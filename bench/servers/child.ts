/** A server as a process of its own: `child.ts <kind> <options as JSON>`, spoken to over Node's channel. */
import type { Server } from './Server.ts'

const [kind, options = '{}'] = process.argv.slice(2)
const { start } = (await import(`./${kind}.ts`)) as { start(options: unknown): Promise<Server> }
const server = await start(JSON.parse(options))

const answers: Record<string, () => unknown> = {
  paid: () => server.paid(),
  cpu() {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  },
  // Profiles go by this clock.
  clock: () => Number(process.hrtime.bigint() / 1_000n),
}

process.on('message', async (question: string) => {
  process.send?.({ answer: await answers[question]?.() })
})
process.on('disconnect', async () => {
  await server.close()
  process.exit(0)
})
process.send?.({ answer: server.port })
