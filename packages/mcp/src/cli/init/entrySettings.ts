/** What of the environment goes into a client's configuration. */

import { resolve } from 'node:path'
import { readLimits } from '@drain/consumer/node'
import { DrainError } from '@drain/core'
import { isAddress } from 'viem'
import { readMcpSettings } from '../../settings.ts'

type Env = Record<string, string | undefined>

/** What each is where nobody says otherwise. Of keys, passwords and tokens there are none here: they are never copied. */
function usualSettings(): Record<string, string | undefined> {
  const { perRequest, perChannel, perDay } = readLimits({})
  const { deployment, directoryUrl, mppMethods } = readMcpSettings({})
  return {
    DRAIN_MAX_PER_REQUEST: perRequest,
    DRAIN_MAX_PER_CHANNEL: perChannel,
    DRAIN_MAX_PER_DAY: perDay,
    DRAIN_ALLOWED_PROVIDERS: undefined,
    DRAIN_CHAIN_ID: String(deployment.chainId),
    DRAIN_RPC_URL: undefined,
    DRAIN_CONTRACT_ADDRESS: undefined,
    DRAIN_USDC_ADDRESS: undefined,
    DRAIN_DIRECTORY_URL: directoryUrl.href,
    DRAIN_MPP_METHODS: mppMethods.join(','),
    DRAIN_STATE_DIR: undefined,
  }
}

/**
 * Settings of the environment that differ from the usual ones, or from those that an entry has. Checked: what the server would
 * refuse isn't written.
 *
 * @param found What an entry has already.
 * @throws {DrainError} `setting_invalid`, `unknown_deployment`
 */
export function copiedSettings(env: Env, found: Env): Record<string, string> {
  const { directoryUrl } = readMcpSettings(env)
  assertProviders(readLimits(env).providers ?? [])
  const copied = Object.entries(usualSettings()).flatMap(([name, usual]) => {
    const value = env[name]
    const isUsual = usual === (name === 'DRAIN_DIRECTORY_URL' ? directoryUrl.href : value)
    if (!value || (isUsual && found[name] === undefined)) return []
    // Clients start the server in a folder of their own.
    return [[name, name === 'DRAIN_STATE_DIR' ? resolve(value) : value] as const]
  })
  return Object.fromEntries(copied)
}

/** @throws {DrainError} `setting_invalid`. Says no value: a key may have been put into the wrong variable. */
export function assertProviders(providers: readonly string[]): void {
  const isKnown = (one: string) =>
    isAddress(one, { strict: false }) || (/^https?:\/\//i.test(one) && URL.canParse(one))
  if (providers.every(isKnown)) return
  throw new DrainError(
    'setting_invalid',
    'DRAIN_ALLOWED_PROVIDERS has something that is neither an origin, such as https://api.example, nor an address.',
    { action: 'Correct or unset it.' },
  )
}

/** What may be shown. A node's URL may have a key in it, and nobody knows what else somebody has put into an entry. */
export function isShowable(name: string): boolean {
  return (
    name !== 'DRAIN_RPC_URL' &&
    (Object.hasOwn(usualSettings(), name) ||
      name === 'DRAIN_KEYSTORE' ||
      name === 'DRAIN_KEYSTORE_PASSWORD_FILE')
  )
}

/** Values that others could spend money with, or use up a paid node. */
export function secretsOf(env: Env): string[] {
  return ['DRAIN_PRIVATE_KEY', 'DRAIN_RPC_URL'].filter((name) => {
    const value = env[name]
    return value !== undefined && (name !== 'DRAIN_RPC_URL' || mayHoldKey(value))
  })
}

function mayHoldKey(rpcUrl: string): boolean {
  if (!URL.canParse(rpcUrl)) return true
  const { username, password, pathname, search } = new URL(rpcUrl)
  return username !== '' || password !== '' || pathname !== '/' || search !== ''
}
