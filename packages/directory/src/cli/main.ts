/** `drain-directory`: serves a directory. */
import { runCommand, type Streams, UsageError } from '@drain/keys/node'
import { startDirectory } from '../startDirectory.ts'
import type { Database } from '../store/Database.ts'
import { version } from '../version.ts'
import { ownProber } from './ownProber.ts'
import { type Environment, readSettings } from './readSettings.ts'

const usage = `Usage:
  drain-directory
      Serves a directory of providers, until SIGTERM or SIGINT.
Environment:
  DATABASE                      directory.db by default: an SQLite file, or postgresql://… for several instances
  PORT, HOST                    3100 and 127.0.0.1 by default
  DIRECTORY_ORIGIN              where the public reaches it, such as https://market.example
  DIRECTORY_OPERATORS           wallets that may decide, with commas between them
  DIRECTORY_OPERATOR_TOKEN      or a token, of at least 32 characters
  DIRECTORY_WORK                off only serves: of several instances one is enough that probes, follows the chain and scores
  DIRECTORY_REVIEW              off lists whatever passes the connection test
  PROBER_PRIVATE_KEY            signs this instance’s probes, or PROBER_KEYSTORE with PROBER_KEYSTORE_PASSWORD_FILE;
                                without, a key is made and kept in the database
  DIRECTORY_PROBERS             other probers whose reports are believed; DIRECTORY_PROBE_MINUTES, 5 by default
  DRAIN_CHAIN_ID                137 (Polygon) by default; DRAIN_RPC_URL, a node; DRAIN_CONTRACT_ADDRESS, DRAIN_USDC_ADDRESS
  DIRECTORY_CONFIRMATIONS       blocks after which a payment counts, 32 by default
  DIRECTORY_PROXIES             how many proxies stand before it, 0 by default
  DIRECTORY_REQUESTS_PER_MINUTE what one network may ask for, 600 by default
  DIRECTORY_ALLOW_LOOPBACK      1 lists servers on this machine, too: for development
  FUNDS_PRIVATE_KEY             pays the gas station and invites, or FUNDS_KEYSTORE with FUNDS_KEYSTORE_PASSWORD_FILE
  GAS_STATION_PER_DAY           the coin that it gives away in a day at most; GAS_STATION_GIFT, 0.1; GAS_STATION_LEAST_USDC, 5
  FUNDS_MAX_GAS_PRICE           gwei per gas that no gift pays more than, 500 by default; above that they wait
  INVITES_GAS, INVITES_USDC     what invites may give away in all
Exit codes: 0 done, 1 failed, 2 not understood.
`

/** Runs it and returns the process's exit code. */
export function main(args: string[], env: Environment, streams: Streams): Promise<0 | 1 | 2> {
  return runCommand(usage, streams, async () => {
    const [option, ...rest] = args
    if (rest.length > 0) throw new UsageError(`There is no place for "${rest[0]}".`)
    if (option === '--help' || option === '-h' || option === '--version' || option === '-v') {
      streams.stdout.write(/^-+v/.test(option) ? `${version}\n` : usage)
      return 0
    }
    if (option !== undefined) throw new UsageError(`There is no option ${option}.`)
    const settings = await readSettings(env)
    const database = await openDatabase(env.DATABASE ?? 'directory.db')
    const prober = settings.prober ?? (await ownProber(database))
    const directory = await startDirectory({ ...settings, database, prober })
    streams.stdout.write(`listening on ${directory.url}\n`)
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
    })
    await directory.close()
    await database.close()
    return 0
  })
}

/** Each is loaded only where it is used: they are optional dependencies. */
async function openDatabase(place: string): Promise<Database> {
  if (/^postgres(?:ql)?:/.test(place)) {
    const { openPostgres } = await import('../store/postgres.ts')
    return openPostgres({ connectionString: place })
  }
  const { openSqlite } = await import('../store/sqlite.ts')
  return openSqlite(place)
}
