/** `drain`: what a payer does from the command line. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { LimitExceededError } from '@drain/core'
import { runCommand, type Streams, UsageError } from '@drain/keys/node'
import { channelsJson, channelsText, closedText, spendingText } from './channels.ts'
import { chatCommand } from './chat.ts'
import { closeChannels } from './close.ts'
import { fetchCommand } from './fetch.ts'
import { newKey } from './newKey.ts'
import { limitVariables, readSettings } from './settings.ts'
import { readWallet, walletText } from './wallet.ts'
import { withClient } from './withClient.ts'

const usage = `Usage:
  drain key new <file>
      Makes a key in an encrypted keystore. Its password is typed, or stands in the file DRAIN_KEYSTORE_PASSWORD_FILE.
  drain wallet [--json]
      Address, USDC, gas, and what the contract may take for deposits.
  drain fetch <url> [-X <method>] [-H '<name>: <value>']… [-d <body>|@<file>|@-] [--max <USDC>] [--json]
      Sends a request and pays for it. The body goes to stdout, what it cost to stderr.
  drain chat [--model <name>] [--max <USDC>] [--json] <url> <message>
      Asks a provider of chat completions, such as https://api.example, and shows the answer while it comes.
  drain channels [--json]
      All channels, and what was spent.
  drain close (<channel> | <origin> | --all) [--json]
      Closes channels through their provider, or alone once they have expired.
  drain recover [<origin>…] [--from-block <number>] [--json]
      Finds what the wallet has locked and this folder doesn't know, and frees what has expired. Channels to the origins'
      providers can be used again.
Environment:
  DRAIN_KEYSTORE           an encrypted keystore's file, or DRAIN_PRIVATE_KEY: never arguments, which others can see
  DRAIN_KEYSTORE_PASSWORD_FILE   the keystore's password; else it is asked for
  DRAIN_CHAIN_ID           137 (Polygon) by default; DRAIN_RPC_URL, a node; DRAIN_CONTRACT_ADDRESS and DRAIN_USDC_ADDRESS
  DRAIN_STATE_DIR          where channels are kept, ~/.drain by default
  DRAIN_MAX_PER_REQUEST    0.05 USDC by default; DRAIN_MAX_PER_CHANNEL, 1; DRAIN_MAX_PER_DAY, 2
  DRAIN_ALLOWED_PROVIDERS  origins and addresses that may be paid, with commas between them; everybody by default
Exit codes: 0 done, 1 failed, 2 not understood, 3 refused by a limit, 4 the server answered with an error.
`

/** 0 done, 1 failed, 2 not understood, 3 refused by a limit, 4 the server answered with an error. */
export type ExitCode = 0 | 1 | 2 | 3 | 4

/** Runs one command and returns the process's exit code. */
export async function main(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  return runCommand(usage, { stderr }, async () => {
    try {
      return await run(args, { stdout, stderr })
    } catch (error) {
      if (!(error instanceof LimitExceededError)) throw error
      const variable = limitVariables[error.limit]
      stderr.write(`${error.shortMessage}${variable ? ` Set ${variable} if it is to be paid.` : ''}\n`)
      return 3
    }
  })
}

type Command = (args: string[], streams: Streams) => Promise<ExitCode>

const commands: Record<string, Command> = { key, wallet, fetch, chat, channels, close, recover }

async function run(args: string[], streams: Streams): Promise<ExitCode> {
  const [name = '', ...rest] = args
  if (args.includes('--help') || args.length === 0) {
    streams.stdout.write(usage)
    return args.length === 0 ? 2 : 0
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command)
    throw new UsageError('The commands are key, wallet, fetch, chat, channels, close and recover.')
  return command(rest, streams)
}

const json = { json: { type: 'boolean', default: false } } as const

async function key(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  const [[verb, file]] = parse(args, {}, 2)
  if (verb !== 'new' || !file) throw new UsageError('Name the file: drain key new wallet.json.')
  const address = await newKey(file, process.env.DRAIN_KEYSTORE_PASSWORD_FILE)
  stdout.write(`${address}\n`)
  stderr.write(
    `The key is in ${file}: keep a copy, and its password. Set DRAIN_KEYSTORE to it, and send USDC to its address.\n`,
  )
  return 0
}

async function wallet(args: string[], { stdout }: Streams): Promise<ExitCode> {
  const [, values] = parse(args, json)
  const report = await readWallet(await readSettings(process.env))
  stdout.write(values.json ? toJson(report) : walletText(report))
  return 0
}

async function fetch(args: string[], streams: Streams): Promise<ExitCode> {
  const [[url], values] = parse(
    args,
    {
      ...json,
      request: { type: 'string', short: 'X' },
      header: { type: 'string', short: 'H', multiple: true, default: [] as string[] },
      data: { type: 'string', short: 'd' },
      max: { type: 'string' },
    },
    1,
  )
  const { request: method, header: headers, data, max } = values
  const options = { url: urlOf(url), method, headers, data, json: values.json }
  const settings = await readSettings(process.env, max)
  const status = await withClient(settings, streams.stderr, (client) =>
    fetchCommand(client, options, streams),
  )
  return status < 400 ? 0 : 4
}

async function chat(args: string[], streams: Streams): Promise<ExitCode> {
  const [[url, message], { model, max, json: isJson }] = parse(
    args,
    { ...json, model: { type: 'string' }, max: { type: 'string' } },
    2,
  )
  if (!message) throw new UsageError('Say something: drain chat https://api.example "Hello".')
  const options = { url: urlOf(url), model, message, json: isJson }
  const settings = await readSettings(process.env, max)
  await withClient(settings, streams.stderr, (client) => chatCommand(client, options, streams))
  return 0
}

async function channels(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  const [, values] = parse(args, json)
  const [all, spending] = await withClient(await readSettings(process.env), stderr, async (client) => [
    await client.channels(),
    await client.spending(),
  ])
  const text = () => `${channelsText(all)}${spendingText(spending)}`
  stdout.write(values.json ? toJson({ currency: 'USDC', channels: channelsJson(all), spending }) : text())
  return 0
}

async function close(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  const [[target], values] = parse(args, { ...json, all: { type: 'boolean', default: false } }, 1)
  if ((target === undefined) === !values.all)
    throw new UsageError('Name what to close: a channel’s id, an origin, or --all.')
  const settings = await readSettings(process.env)
  const { closed, failures } = await withClient(settings, stderr, (client) => closeChannels(client, target))
  stdout.write(values.json ? toJson(closed) : closedText(closed))
  for (const { channelId, message } of failures) stderr.write(`${channelId} is not closed: ${message}\n`)
  return failures.length === 0 ? 0 : 1
}

async function recover(args: string[], { stdout, stderr }: Streams): Promise<ExitCode> {
  const [origins, values] = parse(args, { ...json, 'from-block': { type: 'string' } }, 100)
  const block = values['from-block']
  if (block !== undefined && !/^\d{1,15}$/.test(block))
    throw new UsageError('--from-block is a number, such as 70000000.')
  const options = {
    origins: origins.map((origin) => urlOf(origin).origin),
    fromBlock: block === undefined ? undefined : BigInt(block),
  }
  const settings = await readSettings(process.env)
  const locked = await withClient(settings, stderr, (client) => client.recover(options))
  stdout.write(values.json ? toJson(channelsJson(locked)) : channelsText(locked))
  return 0
}

/** What stands alone, at most so many, and the options. */
function parse<const options extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: options,
  most = 0,
) {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  if (positionals.length > most) throw new UsageError(`There is no place for "${positionals[most]}".`)
  return [positionals, values] as const
}

function urlOf(text: string | undefined): URL {
  if (text && URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text)
  throw new UsageError(text ? `"${text}" is no URL such as https://api.example/v1.` : 'Name the URL.')
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
