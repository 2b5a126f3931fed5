/** Starts the provider from the environment, and stops it on SIGINT or SIGTERM. */
import { readConfig } from './config.ts'
import { type RunningServer, startServer } from './server.ts'

/** Requests report their own failures. What gets here has none to report to, and must not take the others with it. */
process.on('unhandledRejection', (reason) => {
  console.error('unhandled rejection:', reason instanceof Error ? (reason.stack ?? reason.message) : reason)
})

let stoppingSince: number | undefined

try {
  const config = readConfig(process.env)
  const server = await startServer(config)
  // Before anybody can know that it runs, and stop it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(server))
  console.log(`${config.name}: ${[...config.models.keys()].join(', ')}`)
  console.log(`paid to ${config.account.address} on chain ${config.chainId}, ledger ${config.database}`)
  if (config.hasFreeRoute) console.log('FREE_ROUTE is on: /free/v1/chat/completions answers without payment')
  console.log(`listening on ${server.url}`)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

/** npm passes Ctrl-C on to a process that the terminal has told already; only a later signal means impatience. */
async function stop(server: RunningServer): Promise<void> {
  if (stoppingSince !== undefined) {
    if (Date.now() - stoppingSince > 1_000) process.exit(1)
    return
  }
  stoppingSince = Date.now()
  console.log('stopping')
  await server.close()
  console.log('stopped')
}
