/** `drain-provider`: what an operator does with a ledger from the command line. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { runCommand, type Streams, UsageError } from '@drain/keys/node'
import { type Address, type Hex, isAddress, parseGwei } from 'viem'
import * as Day from '../ledger/Day.ts'
import { exportAccounts } from './exportAccounts.ts'
import { parseListenAddress } from './figuresServer.ts'
import { nodesOf } from './nodesOf.ts'

const usage = `Usage:
  drain-provider settle --ledger <file or postgresql://…> [--chain <id>] [--rpc <url>,…] [--contract <address>] [--usdc <address>]
                        [--provider <address>] [--interval 1m] [--threshold 10] [--min-payout 0.01] [--min-duration 30m]
                        [--native-price <USDC>] [--max-gas-price <gwei>] [--finality <blocks>]
                        [--once | --http [<host>:]<port>] [--schema <name>]
      Claims what the ledger's provider has charged: from the threshold (USDC) on, and always before a channel expires; and ends
      channels for servers that have no key. Beside the provider or elsewhere; of several on one ledger, one works. SIGTERM or
      SIGINT stop it after the round that runs.
      Key: DRAIN_KEYSTORE, with DRAIN_KEYSTORE_PASSWORD_FILE or typed in, or DRAIN_PRIVATE_KEY.
      Nodes: --rpc, DRAIN_RPC_URL, or the file DRAIN_RPC_URL_FILE, which may change meanwhile.
      --http serves /health and /metrics, on this machine only unless a host is named. Without a token: keep it private.
  drain-provider status --ledger <file or postgresql://…> [--chain <id>] [--rpc <url>,…] [--contract <address>]
                        [--provider <address>] [--threshold 10] [--min-payout 0.01] [--native-price <USDC>]
                        [--json] [--schema <name>]
      What was earned and claimed, what comes next, and what somebody should look at. Changes nothing. For the gas that is left,
      and what is not worth it, name a node as above.
  drain-provider clear-alarm --ledger <file or postgresql://…> (--channel <id> | --all) [--schema <name>]
      Clears the alarms of a channel, or of a charge as its alarm names it, or all, once somebody has looked. The provider may
      run meanwhile. Nothing else changes.
  drain-provider export --ledger <file or postgresql://…> [--from YYYY-MM-DD] [--to YYYY-MM-DD]
                        [--format csv|json] [--out <new file>] [--schema <name>]
      Charges, claims and fees in USDC by day (UTC) and channel; payments without a channel by consumer. The provider may run
      meanwhile.
  drain-provider backup --ledger <file> --out <new file>
      A copy of an SQLite ledger, also while the provider runs. A provider that is started from the copy finds its channels
      frozen, since what was spent after the copy was made is not in it.
Exit codes: 0 done, 1 failed, 2 not understood, 3 done, but somebody should look: money is at risk, or there are alarms.
`

/** 0 done, 1 failed, 2 not understood, 3 done, but somebody should look. */
export type ExitCode = 0 | 1 | 2 | 3

/** Runs one command and returns the process's exit code. */
export async function main(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  return runCommand(usage, { stderr }, () => run(args, { stdout, stderr }))
}

const ledgerOptions = { ledger: { type: 'string' }, schema: { type: 'string' } } as const
const chainOptions = {
  chain: { type: 'string' },
  rpc: { type: 'string' },
  contract: { type: 'string' },
  provider: { type: 'string' },
} as const
const worthOptions = {
  threshold: { type: 'string' },
  'min-payout': { type: 'string' },
  'native-price': { type: 'string' },
} as const

const commands = {
  settle: settleCommand,
  status: statusCommand,
  'clear-alarm': clearAlarmCommand,
  export: exportCommand,
  backup: backupCommand,
}

async function run(args: string[], streams: Streams): Promise<ExitCode> {
  const [command = '', ...rest] = args
  if (args.includes('--help') || args.includes('-h')) {
    streams.stdout.write(usage)
    return 0
  }
  if (!Object.hasOwn(commands, command))
    throw new UsageError('The commands are settle, status, clear-alarm, export and backup.')
  return commands[command as keyof typeof commands](rest, streams)
}

async function settleCommand(args: string[]): Promise<ExitCode> {
  const values = parse(args, {
    ...ledgerOptions,
    ...chainOptions,
    ...worthOptions,
    usdc: { type: 'string' },
    interval: { type: 'string' },
    'min-duration': { type: 'string' },
    'max-gas-price': { type: 'string' },
    finality: { type: 'string' },
    http: { type: 'string' },
    once: { type: 'boolean', default: false },
  })
  const { interval, threshold, once } = values
  const http = values.http === undefined ? undefined : parseListenAddress(values.http)
  if (http && once) throw new UsageError('--http is for a worker that goes on: leave --once out.')
  const options = {
    ...whose(values),
    usdc: addressOf('usdc', values.usdc),
    rpcUrl: nodesOf(values.rpc),
    rounds: { interval, threshold, nativePrice: values['native-price'] },
    maxGasPrice: gasPriceOf(values['max-gas-price']),
    finality: blocksOf('finality', values.finality),
    http,
    minPayout: values['min-payout'],
    minDuration: values['min-duration'],
    once,
  }
  const { settle } = await import('./settle.ts')
  return (await settle(options)) ? 0 : 3
}

async function statusCommand(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  const values = parse(args, {
    ...ledgerOptions,
    ...chainOptions,
    ...worthOptions,
    json: { type: 'boolean', default: false },
  })
  const { threshold } = values
  const options = {
    ...whose(values),
    ...{ threshold, minPayout: values['min-payout'], nativePrice: values['native-price'] },
    rpcUrl: nodesOf(values.rpc),
  }
  const log = (message: string) => void stderr.write(`${message}\n`)
  const { readReport } = await import('./readReport.ts')
  const { needsAttention, toJson, toText } = await import('./status.ts')
  const report = await readReport(options, log)
  stdout.write(values.json ? `${JSON.stringify(toJson(report), undefined, 2)}\n` : toText(report))
  return needsAttention(report) ? 3 : 0
}

async function clearAlarmCommand(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  const values = parse(args, {
    ...ledgerOptions,
    channel: { type: 'string' },
    all: { type: 'boolean', default: false },
  })
  const { schema, channel, all } = values
  if ((channel === undefined) === !all) throw new UsageError('Name what to clear: --channel 0x…, or --all.')
  if (channel !== undefined && !/^0x[0-9a-fA-F]{64}$/.test(channel))
    throw new UsageError('--channel is no id of a channel: 0x and 64 hex digits.')
  const { clearAlarm } = await import('./clearAlarm.ts')
  const { alarmLine } = await import('./status.ts')
  const cleared = await clearAlarm({
    ...{ ledger: ledgerOf(values), schema, channelId: channel as Hex | undefined },
  })
  for (const alarm of cleared) stdout.write(`${alarmLine(alarm)}\n`)
  stderr.write(cleared.length === 1 ? '1 alarm was cleared\n' : `${cleared.length} alarms were cleared\n`)
  return 0
}

async function exportCommand(args: string[], streams: Streams): Promise<ExitCode> {
  const values = parse(args, {
    ...ledgerOptions,
    from: { type: 'string' },
    to: { type: 'string' },
    format: { type: 'string', default: 'csv' },
    out: { type: 'string' },
  })
  const { schema, from, to, format, out } = values
  const ledger = ledgerOf(values)
  for (const day of [from, to]) {
    if (day !== undefined && Day.parse(day) === undefined)
      throw new UsageError(`"${day}" is not a day such as 2026-01-31.`)
  }
  if (format !== 'csv' && format !== 'json') throw new UsageError('The format is csv or json.')
  await exportAccounts({ ledger, schema, range: { from, to }, format, out }, streams)
  return 0
}

async function backupCommand(args: string[], { stderr }: Streams): Promise<ExitCode> {
  const values = parse(args, { ledger: { type: 'string' }, out: { type: 'string' } })
  const ledger = ledgerOf(values)
  const { out } = values
  if (!out) throw new UsageError('Name the copy: --out backup.db.')
  const { backupSqliteLedger } = await import('../ledger/backupSqliteLedger.ts')
  await backupSqliteLedger(ledger, out)
  stderr.write(`${ledger} was copied to ${out}\n`)
  return 0
}

function parse<const options extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: options,
) {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  if (positionals.length > 0) throw new UsageError(`There is no place for "${positionals[0]}".`)
  return values
}

function ledgerOf({ ledger }: { ledger?: string | undefined }): string {
  if (ledger) return ledger
  throw new UsageError('Name the ledger: --ledger drain.db, or --ledger postgresql://….')
}

function whose(
  values: Partial<Record<keyof typeof chainOptions | keyof typeof ledgerOptions, string | undefined>>,
) {
  const { schema, chain } = values
  if (chain !== undefined && !/^[1-9][0-9]{0,14}$/.test(chain))
    throw new UsageError(`"${chain}" is not the id of a chain, such as 137.`)
  return {
    ledger: ledgerOf(values),
    schema,
    chainId: chain === undefined ? undefined : Number(chain),
    contract: addressOf('contract', values.contract),
    provider: addressOf('provider', values.provider),
  }
}

function addressOf(name: string, value: string | undefined): Address | undefined {
  if (value === undefined || isAddress(value)) return value
  throw new UsageError(
    `--${name} is no address: 0x and 40 hex digits, with the right checksum where it has capitals.`,
  )
}

function gasPriceOf(gwei: string | undefined): bigint | undefined {
  if (gwei === undefined) return undefined
  if (/^\d{1,9}(?:\.\d{1,9})?$/.test(gwei) && parseGwei(gwei) > 0n) return parseGwei(gwei)
  throw new UsageError(`--max-gas-price is a number of gwei, such as 200, not "${gwei}".`)
}

function blocksOf(name: string, value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,6}$/.test(value)) return BigInt(value)
  throw new UsageError(`--${name} is a number of blocks, such as 64, not "${value}".`)
}
