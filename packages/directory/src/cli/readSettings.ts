/** A directory's settings, from the environment. */
import { createHash } from 'node:crypto'
import { Deployment, Usdc } from '@drain/core'
import { loadKey } from '@drain/keys/node'
import { type Address, isAddress, parseEther, parseGwei } from 'viem'
import type { FundSettings } from '../settings.ts'
import type { StartOptions } from '../startDirectory.ts'

export type Environment = Record<string, string | undefined>

/** Beside the database. @throws Error or DrainError that names the variable. */
export async function readSettings(env: Environment): Promise<Omit<StartOptions, 'database'>> {
  const chain = readChain(env)
  const token = env.DIRECTORY_OPERATOR_TOKEN
  if (token !== undefined && token.length < 32) {
    throw new Error('DIRECTORY_OPERATOR_TOKEN has less than 32 characters. Make one: openssl rand -base64 32')
  }
  const operators = {
    addresses: addressesIn(env, 'DIRECTORY_OPERATORS'),
    tokenHash: token && createHash('sha256').update(token).digest('hex'),
  }
  const review = env.DIRECTORY_REVIEW !== 'off'
  if (review && !operators.tokenHash && operators.addresses.length === 0) {
    throw new Error(
      'Nobody can approve providers: name wallets in DIRECTORY_OPERATORS or set DIRECTORY_OPERATOR_TOKEN, or DIRECTORY_REVIEW=off.',
    )
  }
  return {
    ...{ operators, review, chains: [chain], probers: addressesIn(env, 'DIRECTORY_PROBERS') },
    // Set to nothing is not set: an empty host would listen everywhere.
    origin: env.DIRECTORY_ORIGIN || undefined,
    work: env.DIRECTORY_WORK !== 'off',
    host: env.HOST || undefined,
    port: numberIn(env, 'PORT'),
    proxies: numberIn(env, 'DIRECTORY_PROXIES'),
    requestsPerMinute: numberIn(env, 'DIRECTORY_REQUESTS_PER_MINUTE'),
    probeEveryMs: minutes(numberIn(env, 'DIRECTORY_PROBE_MINUTES')),
    confirmations: numberIn(env, 'DIRECTORY_CONFIRMATIONS'),
    allowLoopback: env.DIRECTORY_ALLOW_LOOPBACK === '1',
    prober: await keyOf(env, 'PROBER'),
    funds: await readFunds(env, chain.deployment.chainId),
  }
}

function readChain(env: Environment) {
  const chainId = numberIn(env, 'DRAIN_CHAIN_ID') ?? 137
  const contract = addressesIn(env, 'DRAIN_CONTRACT_ADDRESS')[0]
  const token = addressesIn(env, 'DRAIN_USDC_ADDRESS')[0]
  const deployment = Deployment.find({ chainId, contract, token })
  const rpcUrl = env.DRAIN_RPC_URL ?? Deployment.publicRpcUrls[chainId]
  if (!rpcUrl) throw new Error(`DRAIN_RPC_URL is missing: a node of chain ${chainId}.`)
  return { deployment, rpcUrl }
}

async function readFunds(env: Environment, chainId: number): Promise<FundSettings | undefined> {
  const account = await keyOf(env, 'FUNDS')
  const { GAS_STATION_PER_DAY: perDay, INVITES_GAS: gas, INVITES_USDC: usdc } = env
  if (!account) {
    if (!perDay && !gas && !usdc) return undefined
    throw new Error('Nothing can be given away without FUNDS_PRIVATE_KEY or FUNDS_KEYSTORE.')
  }
  return {
    ...{ account, chainId },
    maxGasPrice: env.FUNDS_MAX_GAS_PRICE ? amountIn(env, 'FUNDS_MAX_GAS_PRICE', '', parseGwei) : undefined,
    gasStation: perDay
      ? {
          gas: amountIn(env, 'GAS_STATION_GIFT', '0.1', parseEther),
          leastUsdc: amountIn(env, 'GAS_STATION_LEAST_USDC', '5', Usdc.parse),
          perDay: amountIn(env, 'GAS_STATION_PER_DAY', perDay, parseEther),
        }
      : undefined,
    invites:
      gas || usdc
        ? {
            gas: amountIn(env, 'INVITES_GAS', '0', parseEther),
            usdc: amountIn(env, 'INVITES_USDC', '0', Usdc.parse),
          }
        : undefined,
  }
}

function amountIn(
  env: Environment,
  name: string,
  otherwise: string,
  parse: (text: string) => bigint,
): bigint {
  const text = env[name] || otherwise
  if (/^\d{1,12}(?:\.\d{1,18})?$/.test(text)) {
    try {
      return parse(text)
    } catch {}
  }
  throw new Error(`${name} is no amount: ${text.slice(0, 50)}`)
}

/** The account of `<NAME>_PRIVATE_KEY`, or of the keystore `<NAME>_KEYSTORE`; none where neither is set. */
async function keyOf(env: Environment, name: string) {
  const { [`${name}_PRIVATE_KEY`]: plain, [`${name}_KEYSTORE`]: file } = env
  if (!plain && !file) return undefined
  const password = env[`${name}_KEYSTORE_PASSWORD_FILE`]
  try {
    return await loadKey({
      env: { DRAIN_PRIVATE_KEY: plain, DRAIN_KEYSTORE: file, DRAIN_KEYSTORE_PASSWORD_FILE: password },
    })
  } catch (error) {
    throw new Error(`The key of ${name}_PRIVATE_KEY or ${name}_KEYSTORE can’t be used.`, { cause: error })
  }
}

function numberIn(env: Environment, name: string): number | undefined {
  const text = env[name]
  if (text === undefined || text === '') return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new Error(`${name} is no number: ${text.slice(0, 50)}`)
}

const minutes = (count: number | undefined) => count && count * 60_000

function addressesIn(env: Environment, name: string): Address[] {
  const all = (env[name] ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter(Boolean)
  return all.map((text) => {
    if (isAddress(text)) return text
    throw new Error(`${name} has something that is no address: ${text.slice(0, 50)}`)
  })
}
