import { readPlace, readSettings, type Settings } from '@drain/consumer/node'
import type { Deployment } from '@drain/core'
import { DrainError } from '@drain/core'

type Env = Record<string, string | undefined>

/** Ways to pay single requests, by the names of MPP's methods. */
export const mppMethods = ['evm', 'tempo'] as const
export type MppMethod = (typeof mppMethods)[number]

/** What the server works with, from the environment. The key is read when it is first needed, and nowhere kept as text. */
export type McpSettings = {
  env: Env
  deployment: Deployment.Deployment
  rpcUrl: string | undefined
  /** Where providers are listed. */
  directoryUrl: URL
  /** How single requests are paid, in that order. */
  mppMethods: readonly MppMethod[]
  /** Whether the directory is told how requests went. Never who asked. */
  telemetry: boolean
}

/** The original marketplace. */
const usualDirectory = 'https://handshake58.com/api/mcp/providers'

/** @throws {DrainError} `setting_invalid` */
export function readMcpSettings(env: Env): McpSettings {
  const { deployment, rpcUrl } = readPlace(env)
  return {
    env,
    deployment,
    rpcUrl,
    directoryUrl: readDirectory(env.DRAIN_DIRECTORY_URL || usualDirectory),
    mppMethods: readMethods(env.DRAIN_MPP_METHODS ?? 'evm'),
    telemetry: env.DRAIN_TELEMETRY === '1',
  }
}

/** Who pays, within what limits, and where that is kept. @throws {DrainError} as `readSettings` does */
export function readWalletSettings({ env }: Pick<McpSettings, 'env'>): Promise<Settings> {
  return readSettings(env)
}

/** A marketplace's origin, the list itself, or a file that has one. */
function readDirectory(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw invalid('DRAIN_DIRECTORY_URL', 'the URL of a directory, such as https://handshake58.com')
  }
  if (url.pathname === '/') url.pathname = '/api/mcp/providers'
  return url
}

function readMethods(text: string): readonly MppMethod[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '')
  const known = (name: string): name is MppMethod => mppMethods.some((one) => one === name)
  if (names.every(known)) return [...new Set(names)]
  throw invalid('DRAIN_MPP_METHODS', `one or more of ${mppMethods.join(', ')}`)
}

/** Says no value: a key may have been put into the wrong variable. */
function invalid(name: string, what: string): DrainError {
  return new DrainError('setting_invalid', `${name} is not ${what}.`, { action: 'Correct or unset it.' })
}
