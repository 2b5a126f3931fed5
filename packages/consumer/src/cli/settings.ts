import { homedir } from 'node:os'
import { join } from 'node:path'
import { Deployment, DrainError, Usdc } from '@drain/core'
import { loadKey, UsageError } from '@drain/keys/node'
import { type Account, isAddress } from 'viem'
import type { LimitOptions } from '../client/Limits.ts'

type Env = Record<string, string | undefined>

/** What a command works with. The key comes from the environment or a keystore, never from an argument: others see those. */
export type Settings = {
  account: Account
  deployment: Deployment.Deployment
  limits: LimitOptions
  rpcUrl: string | undefined
  /** The folder in which channels are kept. */
  stateDir: string
}

/** What may be spent where nobody says otherwise, in USDC: enough to try things, little enough to lose. */
const usualLimits = { perRequest: '0.05', perChannel: '1', perDay: '2' }

/** The variables that raise limits. */
export const limitVariables: Readonly<Record<string, string>> = {
  perRequest: 'DRAIN_MAX_PER_REQUEST',
  perChannel: 'DRAIN_MAX_PER_CHANNEL',
  perProvider: 'DRAIN_MAX_PER_CHANNEL',
  perDay: 'DRAIN_MAX_PER_DAY',
  providers: 'DRAIN_ALLOWED_PROVIDERS',
}

/**
 * @param max The most that a request may cost this time. It lowers `DRAIN_MAX_PER_REQUEST`, and can't raise it: whoever set that for
 * an agent means it.
 * @throws {DrainError} `setting_invalid`, and those of `loadKey`
 */
export async function readSettings(env: Env, max?: string): Promise<Settings> {
  const { deployment, rpcUrl } = readPlace(env)
  const stateDir = env.DRAIN_STATE_DIR || join(homedir(), '.drain')
  const limits = readLimits(env, max)
  return { account: await loadKey({ env }), deployment, rpcUrl, limits, stateDir }
}

/** Chain, contract and node. @throws {DrainError} `setting_invalid`, `unknown_deployment` */
export function readPlace(env: Env): Pick<Settings, 'deployment' | 'rpcUrl'> {
  const { DRAIN_CHAIN_ID: chain = '', DRAIN_RPC_URL: rpcUrl } = env
  if (!/^(?:[1-9]\d{0,14})?$/.test(chain)) throw invalid('DRAIN_CHAIN_ID', 'the id of a chain, such as 137')
  const [contract, token] = (['DRAIN_CONTRACT_ADDRESS', 'DRAIN_USDC_ADDRESS'] as const).map((name) => {
    const address = env[name] || undefined
    if (address === undefined || isAddress(address)) return address
    throw invalid(name, 'an address: 0x and 40 hex digits, with the right checksum where it has capitals')
  })
  if (rpcUrl && !URL.canParse(rpcUrl)) throw invalid('DRAIN_RPC_URL', 'the URL of a node')
  const deployment = Deployment.find({ chainId: Number(chain || 137), contract, token })
  return { deployment, rpcUrl: rpcUrl || undefined }
}

/** @throws {DrainError} `setting_invalid` */
export function readLimits(env: Env, max?: string | undefined): LimitOptions {
  const amount = (name: string, usual: string) => {
    const text = env[name] || usual
    if (isAmount(text)) return text
    throw invalid(name, 'an amount of USDC, such as 0.05')
  }
  const perRequest = amount('DRAIN_MAX_PER_REQUEST', usualLimits.perRequest)
  if (max !== undefined && !isAmount(max)) throw new UsageError('--max is an amount of USDC, such as 0.01.')
  if (max !== undefined && Usdc.parse(max) > Usdc.parse(perRequest)) {
    throw new UsageError(
      `--max lowers the limit per request, which is ${perRequest} USDC: DRAIN_MAX_PER_REQUEST raises it.`,
    )
  }
  const providers = (env.DRAIN_ALLOWED_PROVIDERS ?? '').split(/[\s,]+/).filter((one) => one !== '')
  return {
    perRequest: max ?? perRequest,
    perChannel: amount('DRAIN_MAX_PER_CHANNEL', usualLimits.perChannel),
    perDay: amount('DRAIN_MAX_PER_DAY', usualLimits.perDay),
    providers: providers.length > 0 ? providers : undefined,
  }
}

function isAmount(text: string): boolean {
  try {
    return Usdc.parse(text) > 0n
  } catch {
    return false
  }
}

/** Says no value: a key may have been put into the wrong variable. */
function invalid(name: string, what: string): DrainError {
  return new DrainError('setting_invalid', `${name} is not ${what}.`, { action: 'Correct or unset it.' })
}
