/** The provider's configuration, from environment variables. `env.example` documents each. */
import {
  type AdminToken,
  Deployment,
  Duration,
  type RpcUrlInput,
  secretFile,
  Usdc,
} from '@drain-protocol/sdk'
import { type Address, type Hex, isAddress, type PrivateKeyAccount } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { defaultModels, localModel, type Model, parseModels } from './models.ts'

export type Config = {
  account: PrivateKeyAccount
  chainId: number
  rpcUrl: RpcUrlInput
  contractAddress: Address | undefined
  usdcAddress: Address | undefined
  host: string
  /** 0 for any free one. */
  port: number
  /** Path of the ledger's SQLite file. */
  database: string
  name: string
  models: ReadonlyMap<string, Model>
  /** Without one, only the local model is served. */
  upstream: { baseUrl: string; apiKey: string; timeoutMs: number } | undefined
  /** USDC and durations, as they were written. */
  terms: { minDeposit: string; minDuration: string; recommendedDuration: string; maxDuration: string }
  /** USDC. */
  minPayout: string
  /** Opens channels for consumers without gas; what the chain's coin costs, in USDC. */
  relay: { nativePrice: string } | undefined
  adminToken: AdminToken | undefined
  /** When channels are claimed and settled: a duration and USDC, as they were written. `false`: another process does it. */
  settle: { interval: string; threshold: string } | false
  maxBodyBytes: number
  /** Serves `/free/v1/chat/completions` too. */
  hasFreeRoute: boolean
}

/** The environment can't be used. The message names every variable at fault and what to set, and no secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(
      ['The configuration is incomplete or wrong:', ...problems.map((problem) => `  - ${problem}`)].join(
        '\n',
      ),
    )
    this.problems = problems
  }
}

const localChainId = 31_337

/**
 * Reads the whole configuration and reports all that is wrong with it at once. Empty variables count as not set.
 *
 * @throws {ConfigError}
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  const problems: string[] = []
  const setting = (name: string) => env[name]?.trim() || undefined

  /** Where `parse` throws, the result is of no use, and never used: a problem ends in the error below. */
  function parsed<value>(name: string, text: string, parse: (text: string) => value): value {
    try {
      return parse(text)
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : 'it is not valid.'}`)
      return undefined as value
    }
  }
  function required<value>(name: string, advice: string, parse: (text: string) => value): value {
    const text = setting(name)
    if (text !== undefined) return parsed(name, text, parse)
    problems.push(`${name} is not set. ${advice}`)
    return undefined as value
  }
  function optional<value>(name: string, parse: (text: string) => value): value | undefined {
    const text = setting(name)
    return text === undefined ? undefined : parsed(name, text, parse)
  }
  function withDefault<value>(name: string, text: string, parse: (text: string) => value): value {
    return parsed(name, setting(name) ?? text, parse)
  }

  const chainId = required(
    'CHAIN_ID',
    '137 is Polygon, 80002 Amoy, 31337 a local anvil.',
    wholeNumber(1, 2 ** 31),
  )
  const contractAddress = optional('CONTRACT_ADDRESS', parseAddress)
  const usdcAddress = optional('USDC_ADDRESS', parseAddress)
  const apiKey = setting('OPENAI_API_KEY')
  const margin = withDefault('MARGIN_PERCENT', '20', parsePercent)
  const nativePrice = optional('RELAY_COIN_PRICE', checked(Usdc.parse))
  const interval = withDefault('CLAIM_INTERVAL', '1m', (text) =>
    text === '0' ? text : checked(parseMilliseconds)(text),
  )
  const config: Config = {
    account: required('PROVIDER_PRIVATE_KEY', keyAdvice, parseKey),
    chainId,
    rpcUrl:
      optional('RPC_URL_FILE', secretFile) ??
      required('RPC_URL', 'The URL of a node of that chain, such as http://127.0.0.1:8545.', parseUrls),
    contractAddress,
    usdcAddress,
    host: setting('HOST') ?? '127.0.0.1',
    port: withDefault('PORT', '3000', wholeNumber(0, 65_535)),
    database: setting('DATABASE') ?? 'drain.db',
    name: withDefault('PROVIDER_NAME', 'DRAIN AI provider', parseName),
    models: withDefault('MODELS', apiKey ? defaultModels.upstream : defaultModels.local, (list) =>
      // A margin that is wrong is reported as such, and not as a wrong model.
      parseModels(list, margin ?? 0),
    ),
    upstream: apiKey
      ? {
          apiKey,
          baseUrl: withDefault('OPENAI_BASE_URL', 'https://api.openai.com/v1', parseUrl).replace(/\/+$/, ''),
          timeoutMs: withDefault('UPSTREAM_TIMEOUT', '5m', parseMilliseconds),
        }
      : undefined,
    terms: {
      minDeposit: withDefault('MIN_DEPOSIT', '0.1', checked(Usdc.parse)),
      minDuration: withDefault('MIN_DURATION', '30m', checked(Duration.parse)),
      recommendedDuration: withDefault('RECOMMENDED_DURATION', '24h', checked(Duration.parse)),
      maxDuration: withDefault('MAX_DURATION', '365d', checked(Duration.parse)),
    },
    minPayout: withDefault('MIN_PAYOUT', '0.01', checked(Usdc.parse)),
    relay: nativePrice === undefined ? undefined : { nativePrice },
    adminToken: optional('ADMIN_TOKEN_FILE', secretFile) ?? optional('ADMIN_TOKEN', parseToken),
    settle: interval !== '0' && {
      interval,
      threshold: withDefault('CLAIM_THRESHOLD', '10', checked(Usdc.parse)),
    },
    maxBodyBytes: withDefault('MAX_BODY_BYTES', '262144', wholeNumber(1_024, 16_777_216)),
    hasFreeRoute: withDefault('FREE_ROUTE', '0', parseSwitch),
  }

  if (problems.length === 0)
    problems.push(...contradictions(config, setting('OPENAI_BASE_URL') !== undefined))
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

/** What is wrong though each variable is right. */
function* contradictions(config: Config, hasBaseUrl: boolean): Generator<string> {
  const { chainId, contractAddress: contract, usdcAddress: token, models, upstream } = config
  try {
    Deployment.find({ chainId, contract, token })
  } catch {
    yield `CONTRACT_ADDRESS, USDC_ADDRESS: no contract is known on chain ${chainId}. Set both to those deployed there.`
  }
  if (hasBaseUrl && !upstream) {
    yield 'OPENAI_API_KEY is not set, but OPENAI_BASE_URL is. Set the key (any word where the upstream asks for none) or neither.'
  }
  const remote = [...models.keys()].filter((id) => id !== localModel)
  if (!upstream && remote.length > 0) {
    yield `OPENAI_API_KEY is not set, but MODELS names ${remote.join(', ')}. Set it, or serve ${localModel} only.`
  }
  if (config.hasFreeRoute && chainId !== localChainId) {
    yield `FREE_ROUTE gives answers away and is for measurements on chain ${localChainId} only. Unset it.`
  }
}

const keyAdvice = 'The private key of the account that channels pay: 0x and 64 hex digits.'

/** Its errors must not repeat the value. */
function parseKey(text: string): PrivateKeyAccount {
  const digits = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text)?.[1]
  try {
    return privateKeyToAccount(`0x${digits}` as Hex)
  } catch {
    throw new Error(`it is no private key. ${keyAdvice}`)
  }
}

function parseToken(text: string): string {
  if (text.length < 16) throw new Error('it must have at least 16 characters, and be hard to guess.')
  return text
}

function parseAddress(text: string): Address {
  if (!isAddress(text)) {
    throw new Error('it is no address: 0x and 40 hex digits, with the right checksum where it has capitals.')
  }
  return text
}

function parseUrl(text: string): string {
  const { protocol } = URL.canParse(text) ? new URL(text) : {}
  if (protocol !== 'http:' && protocol !== 'https:') throw new Error('it is no http or https URL.')
  return text
}

function parseUrls(text: string): string[] {
  return text.split(',').map((url) => parseUrl(url.trim()))
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (/^[0-9]{1,10}$/.test(text) && number >= least && number <= most) return number
    throw new Error(`it must be a whole number from ${least} to ${most}.`)
  }
}

/** Basis points of a percentage. */
function parsePercent(text: string): number {
  const match = /^([0-9]{1,4})(?:\.([0-9]{1,2}))?$/.exec(text)
  if (!match)
    throw new Error('it must be a number with at most two decimals and no sign, such as 20 or 12.5.')
  return Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'))
}

function parseMilliseconds(text: string): number {
  const milliseconds = Number(Duration.parse(text)) * 1_000
  if (milliseconds >= 2 ** 31) throw new Error('it must be less than 24 days.')
  return milliseconds
}

function parseSwitch(text: string): boolean {
  if (text !== '0' && text !== '1') throw new Error('it must be 1 or 0.')
  return text === '1'
}

function parseName(text: string): string {
  if (text.length > 100) throw new Error('it must have at most 100 characters.')
  return text
}

/** Checks a value that is passed on as it was written. */
function checked(parse: (text: string) => unknown): (text: string) => string {
  return (text) => {
    parse(text)
    return text
  }
}
