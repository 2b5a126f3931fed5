/** The settlement as `drain-provider settle` puts it together, with a finality that a chain of one machine doesn't have. */
import { input, tellReady } from './child.ts'
import { settings } from './settings.ts'

const { Deployment, Usdc } = await import('@drain/core')
const { sqliteLedger } = await import('@drain/provider/sqlite')
const { createChannelReader } = await import('../packages/provider/src/chain/ChannelReader.ts')
const { rpcUrlOf } = await import('../packages/provider/src/chain/rpcUrlOf.ts')
const { rpcTransport } = await import('../packages/provider/src/chain/transport.ts')
const { createLogger } = await import('../packages/provider/src/observe/Log.ts')
const { planRounds } = await import('../packages/provider/src/settle/rounds.ts')
const { createSettler } = await import('../packages/provider/src/settle/Settler.ts')
const Terms = await import('../packages/provider/src/verify/Terms.ts')
const { createPublicClient } = await import('viem')
const { privateKeyToAccount } = await import('viem/accounts')

const { chainId, finality } = settings
const account = privateKeyToAccount(input.privateKey)
const logger = createLogger((message: string) =>
  console.error(new Date(Date.now()).toISOString(), process.pid, message),
)
const transport = rpcTransport(rpcUrlOf({ chainId, rpcUrl: input.rpcUrl }), { log: logger.warn })
const client = createPublicClient({ transport })
const { contract, token } = input
const { feeBps } = settings
const deployment = Deployment.from({ chainId, contract, token, feeBps })
const ledger = sqliteLedger(input.path, { log: (message) => logger.warn(message) })({
  ...{ chainId, contract },
  provider: account.address,
})
await ledger.ready()
const rounds = { interval: settings.interval, threshold: settings.threshold, nativePrice: '0.01' }
const settler = createSettler({
  ...{ account, client, deployment, ledger, finality, logger },
  channels: createChannelReader({ client, deployment, provider: account.address }),
  plan: planRounds(rounds, Terms.fromInput(settings.terms), chainId),
  minPayout: Usdc.parse(settings.minPayout),
  metrics: { claims() {} },
})
settler.start()
tellReady()

process.once('SIGTERM', async () => {
  await settler.stop()
  await ledger.close()
  process.exit(settler.problem ? 3 : 0)
})
