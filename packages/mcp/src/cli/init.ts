/** `drain-mcp init`: puts the server into an MCP client's configuration. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { DrainError } from '@drain/core'
import { type Streams, UsageError } from '@drain/keys/node'
import { readMcpSettings } from '../settings.ts'
import { agentsSnippets } from './init/agentsSdk.ts'
import {
  clients,
  type FileClient,
  fileClients,
  findFileClient,
  isInstalled,
  type Machine,
} from './init/clients.ts'
import {
  type ConfigFile,
  type Entry,
  readConfig,
  sharedMode,
  startsAnother,
  writeEntry,
} from './init/configFile.ts'
import { copiedSettings, isShowable, secretsOf } from './init/entrySettings.ts'
import { makeWallet, openWallet, type Wallet, walletPlace } from './init/wallet.ts'
import { fundingText, keylessText, plannedWalletText, walletText } from './init/wordsOf.ts'

export { clients }

type Env = Record<string, string | undefined>

export type InitOptions = {
  /** One of {@link clients}. Without one, it is said which there are. */
  client: string | undefined
  /** `new`, or a keystore's file; the environment's by default. */
  key: string | undefined
  /** Shows what would be written, and writes nothing. */
  print: boolean
}

/** @returns 1 where a file has to be changed by hand */
export async function init(
  options: InitOptions,
  env: Env,
  { stdout, stderr }: Streams,
  place: Omit<Machine, 'env'> = { home: homedir(), platform: process.platform },
): Promise<0 | 1> {
  const { client, print } = options
  assertUnderstood(options)
  const machine = { ...place, env }
  const file = client === undefined ? undefined : findFileClient(client)
  const { config, problem } = file ? tryRead(file.file(machine)) : {}
  const found = config?.entry?.env ?? {}
  const settings = copiedSettings(env, found)
  // Before a key is made: what the server would refuse isn't written.
  readMcpSettings({ ...found, ...settings })
  const wallet = await takeWallet(options, env, found, machine)
  const entry = entryOf(settings, found, wallet)

  const hasPlainKey = !wallet && Boolean(env.DRAIN_PRIVATE_KEY)

  // What is to be copied goes to stdout alone where there is nothing else to do with it.
  const words = config || client === undefined ? stdout : stderr
  const say = (text: string) => words.write(`${text}\n\n`)
  const command = `npx -y drain-mcp init ${client ?? '<client>'}`
  if (client === undefined) say(clientsText(machine))
  if (file && config) {
    say(print ? plan(config, entry) : written(file, config, entry, machine))
    const exposed = exposedText(config, entry, machine)
    if (exposed) say(exposed)
  } else if (client === 'openai-agents') stdout.write(agentsSnippets(entry, hasPlainKey))
  else {
    if (problem) stderr.write(`${problem.message}\n\n`)
    stdout.write(`${shown(entry)}\n`)
    if (client === undefined) stdout.write('\n')
    const hidden = Object.keys(entry.env).filter((name) => !isShowable(name))
    if (hidden.length > 0) say(`Put in what is not shown here: ${hidden.join(', ')}.`)
  }

  if (wallet) say(print && wallet.isNew ? plannedWalletText(wallet) : walletText(wallet))
  if (wallet?.address) say(fundingText(wallet.address, entry.env))
  if (wallet && env.DRAIN_PRIVATE_KEY)
    say(
      'DRAIN_PRIVATE_KEY is set here too. A client that is started with it passes it on, and the server refuses two keys: unset it.',
    )
  if (client === 'openai-agents' && hasPlainKey)
    say('It takes DRAIN_PRIVATE_KEY from the environment of the program.')
  else if (!wallet) say(keylessText(env, found, command, config ? `"drain" in ${config.path}` : 'the entry'))
  if (!print) say(nextText(file, client))
  return problem ? 1 : 0
}

/** @throws {UsageError} */
function assertUnderstood({ client, key }: InitOptions): void {
  if (client !== undefined && !clients.includes(client))
    throw new UsageError(`The clients are ${clients.join(', ')}; generic is for all others.`)
  if (key === '') throw new UsageError('--key is new, or the file of an encrypted keystore.')
  if (key !== undefined && /^(?:0x)?[0-9a-f]{64}$/i.test(key.trim()))
    throw new UsageError(
      '--key is new, or the file of an encrypted keystore: never a key itself, since others can see arguments.',
    )
}

function tryRead(path: string): { config?: ConfigFile; problem?: DrainError } {
  try {
    return { config: readConfig(path) }
  } catch (error) {
    if (error instanceof DrainError && error.code === 'config_unusable') return { problem: error }
    throw error
  }
}

/** @throws {DrainError} `key_ambiguous`, and those of `loadKey` */
async function takeWallet(
  { key, print }: InitOptions,
  env: Env,
  found: Env,
  { home }: Machine,
): Promise<Wallet | undefined> {
  const file = key ?? env.DRAIN_KEYSTORE
  if (!file) return undefined
  if (key === undefined && env.DRAIN_PRIVATE_KEY) {
    throw new DrainError('key_ambiguous', 'Both DRAIN_PRIVATE_KEY and DRAIN_KEYSTORE are set.', {
      action: 'Say which keystore is meant with --key, or unset one of them.',
    })
  }
  if (found.DRAIN_PRIVATE_KEY) {
    throw new DrainError(
      'key_ambiguous',
      'The entry "drain" has DRAIN_PRIVATE_KEY already; nothing was changed.',
      {
        action:
          'To use a keystore instead, take that line out (and keep it, if it is the only copy), then run this again.',
      },
    )
  }
  if (key !== 'new') {
    const isSame = found.DRAIN_KEYSTORE === resolve(file)
    const kept = isSame ? found.DRAIN_KEYSTORE_PASSWORD_FILE : undefined
    return openWallet(file, env.DRAIN_KEYSTORE_PASSWORD_FILE || kept)
  }
  const stateDir = env.DRAIN_STATE_DIR || found.DRAIN_STATE_DIR || join(home, '.drain')
  const place = walletPlace(stateDir)
  if (found.DRAIN_KEYSTORE && resolve(found.DRAIN_KEYSTORE) !== place.keystore) {
    throw new DrainError(
      'key_ambiguous',
      `The entry "drain" has the keystore ${found.DRAIN_KEYSTORE} already; nothing was changed.`,
      {
        action:
          'To use another wallet instead, take DRAIN_KEYSTORE and DRAIN_KEYSTORE_PASSWORD_FILE out (and keep those files: there may be money), then run this again.',
      },
    )
  }
  if (!print || existsSync(place.keystore)) return makeWallet(stateDir, env)
  return { ...place, address: undefined, isNew: true }
}

function entryOf(settings: Record<string, string>, found: Env, wallet: Wallet | undefined): Entry {
  const kept = { ...found }
  if (wallet && kept.DRAIN_KEYSTORE !== wallet.keystore) delete kept.DRAIN_KEYSTORE_PASSWORD_FILE
  const keys = wallet && {
    DRAIN_KEYSTORE: wallet.keystore,
    ...(wallet.passwordFile && { DRAIN_KEYSTORE_PASSWORD_FILE: wallet.passwordFile }),
  }
  const values = { ...keys, ...kept, ...settings, ...keys } as Record<string, string>
  return { command: 'npx', args: ['-y', 'drain-mcp'], env: values }
}

/** The entry as it can be shown to whoever looks. */
function shown({ env, ...entry }: Entry): string {
  const values = Object.entries(env).map(([name, value]) => [name, isShowable(name) ? value : '(not shown)'])
  const drain = { ...entry, env: Object.fromEntries(values) }
  return JSON.stringify({ mcpServers: { drain } }, undefined, 2)
}

function plan(config: ConfigFile, entry: Entry): string {
  const { path, text, entry: found } = config
  const how = text === undefined ? 'made' : found ? 'changed in its entry "drain"' : 'given an entry "drain"'
  const other = startsAnother(config, entry) ? `\n${otherStart} It would be replaced.` : ''
  return `${path} would be ${how}; nothing was written:\n${shown(entry)}${other}`
}

/** Its arguments aren't shown: a key may be among them. */
const otherStart = 'The entry "drain" that is there starts the server in another way (command, args or url).'

/** Who else can read what nobody else should. */
function exposedText(config: ConfigFile, { env }: Entry, { platform }: Machine): string | undefined {
  const [secrets, mode] = [secretsOf(env), sharedMode(config, platform)]
  if (secrets.length === 0 || !mode) return undefined
  return `Others on this machine can read ${config.path} (mode ${mode}), and there is ${secrets.join(' and ')} in it, which may be worth money.
  To keep it to yourself: chmod 600 ${JSON.stringify(config.path)}, and copies of it (.bak) alike.`
}

function written(client: FileClient, config: ConfigFile, entry: Entry, machine: Machine): string {
  const { path } = config
  const wasThere = isInstalled(client, machine)
  const change = writeEntry(config, entry)
  if (!change) return `${path} has all that already: nothing was changed.`
  const backup = change.backup ? ` How the file was before is in ${change.backup}.` : ''
  const other = startsAnother(config, entry)
    ? '\n  Its entry started the server in another way (command, args or url): that was replaced, and is in the copy.'
    : ''
  const absent = wasThere
    ? ''
    : `\n  ${client.title} was not found on this machine: this is where it will look.`
  return `Wrote ${path}: ${client.title} starts the server as "drain".${backup}${other}${absent}`
}

function clientsText(machine: Machine): string {
  const all = Object.entries(fileClients)
  const found = all.filter(([, client]) => isInstalled(client, machine)).map(([, { title }]) => title)
  const lines = all.map(
    ([name, client]) => `  drain-mcp init ${name.padEnd(13)}  ${client.title}: ${client.file(machine)}`,
  )
  return `On this machine: ${found.join(', ') || 'no client that is known here'}.
${lines.join('\n')}
  drain-mcp init openai-agents  prints code for the OpenAI Agents SDK
  drain-mcp init generic        prints what other clients want in their configuration:`
}

function nextText(file: FileClient | undefined, client: string | undefined): string {
  const doctor = `npx -y drain-mcp doctor${file && client ? ` ${client}` : ''}`
  return `Next: ${doctor} checks that everything is in place.${file ? `\n  ${file.restart}` : ''}`
}
