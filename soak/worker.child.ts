/** `drain-provider settle`, by the run's clock. */
import { input, tellReady } from './child.ts'
import { settings } from './settings.ts'

const { main } = await import('../packages/provider/src/cli/main.ts')
await import('../packages/provider/src/cli/settle.ts') // what takes time to load

process.env.DRAIN_PRIVATE_KEY = input.privateKey
const options = {
  ledger: input.path,
  rpc: input.rpcUrl,
  usdc: input.token,
  finality: `${settings.finality}`,
  interval: settings.interval,
  threshold: settings.threshold,
  'min-payout': settings.minPayout,
  'min-duration': settings.terms.minDuration,
  'native-price': settings.nativePrice,
}
tellReady()
const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
process.exit(await main(['settle', ...args], process))
