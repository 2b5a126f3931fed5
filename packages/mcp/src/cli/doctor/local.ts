/** What can be checked on this machine alone. */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { createDrainClient } from '@drain/consumer'
import { openStore, readLimits } from '@drain/consumer/node'
import { DrainError, Usdc } from '@drain/core'
import { loadKey } from '@drain/keys/node'
import type { Account } from 'viem'
import { type McpSettings, readMcpSettings } from '../../settings.ts'
import { toChannel } from '../../tools/shapes.ts'
import { assertProviders } from '../init/entrySettings.ts'
import type { Finding } from './Report.ts'

type Env = Record<string, string | undefined>
type LimitOptions = ReturnType<typeof readLimits>

/** As `engines` of package.json says it. */
const oldestNode = 22

export function checkNode(version: string): Finding {
  if (Number.parseInt(version, 10) >= oldestNode) return { status: 'ok', detail: `Node.js ${version}` }
  return {
    status: 'failed',
    detail: `Node.js ${version} is too old: ${oldestNode} is the oldest that works.`,
    next: 'Install a newer one, and restart the client.',
  }
}

export function checkPlace(env: Env): Finding<McpSettings> {
  const settings = readMcpSettings(env)
  const { chainId, contract } = settings.deployment
  const detail = `chain ${chainId}, contract ${contract}, directory ${settings.directoryUrl.origin}`
  return { status: 'ok', detail, value: settings }
}

export function checkLimits(env: Env): Finding<LimitOptions> {
  const limits = readLimits(env)
  assertProviders(limits.providers ?? [])
  const { perRequest, perChannel, perDay = perChannel, providers } = limits
  const whom = providers ? `${providers.length} that may be paid` : 'everybody may be paid'
  const detail = `${perRequest} USDC a request, ${perChannel} a channel, ${perDay} a day; ${whom}`
  const [request, channel, day] = [perRequest, perChannel, perDay].map((text) => Usdc.parse(text)) as [
    bigint,
    bigint,
    bigint,
  ]
  if (request > channel || request > day) {
    return {
      status: 'warning',
      detail: `${detail}. A single request may cost more than a channel may hold, or a day allow.`,
      next: 'Raise DRAIN_MAX_PER_CHANNEL and DRAIN_MAX_PER_DAY, or lower DRAIN_MAX_PER_REQUEST.',
      value: limits,
    }
  }
  return { status: 'ok', detail, value: limits }
}

export async function checkKey(env: Env): Promise<Finding<Account>> {
  const account = await loadKey({ env, ask: cannotAsk }).catch((error) => {
    if (!(error instanceof DrainError) || error.code !== 'key_missing') throw error
    throw new DrainError('key_missing', error.shortMessage, {
      action:
        'Make one: npx -y drain-mcp init <client> --key new. If a client has one, name it: npx -y drain-mcp doctor <client>.',
    })
  })
  const files = [env.DRAIN_KEYSTORE, env.DRAIN_KEYSTORE_PASSWORD_FILE].filter(
    (file) => file !== undefined && isOpen(file),
  )
  if (files.length === 0) return { status: 'ok', detail: account.address, value: account }
  return {
    status: 'warning',
    detail: `${account.address}; other users of this machine can read ${files.join(' and ')}`,
    next: `chmod 600 ${files.join(' ')}`,
    value: account,
  }
}

function cannotAsk(): never {
  throw new DrainError('password_missing', 'An MCP client can’t type the keystore’s password.', {
    action: 'Write it into a file that only you can read, and set DRAIN_KEYSTORE_PASSWORD_FILE to that.',
  })
}

/** Whether others than the owner may read or write it. Windows has no such modes. */
function isOpen(file: string): boolean {
  return process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0
}

/** @returns The folder, where it can be used now. */
export async function checkState(stateDir: string): Promise<Finding<string>> {
  const folder = resolve(stateDir)
  if (!existsSync(folder)) {
    assertWritable(nearest(folder), folder)
    return { status: 'ok', detail: `${folder} is not there yet; the server makes it` }
  }
  assertWritable(folder, folder)
  try {
    const store = await openStore(folder)
    await store.close()
  } catch (error) {
    if (!(error instanceof DrainError) || error.code !== 'store_in_use') throw error
    return { status: 'warning', detail: error.shortMessage, next: 'If that is the server, all is well.' }
  }
  return { status: 'ok', detail: folder, value: folder }
}

function nearest(folder: string): string {
  return existsSync(folder) ? folder : nearest(dirname(folder))
}

function assertWritable(folder: string, wanted: string): void {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    if (statSync(folder).isDirectory()) return
  } catch {
    // Said below.
  }
  throw new DrainError('state_unwritable', `${wanted} is no folder that can be written to.`, {
    action: 'Check who may write there, or set DRAIN_STATE_DIR to a folder of yours.',
  })
}

/** What is locked in channels that this folder knows. */
export async function checkChannels(
  { deployment, rpcUrl }: McpSettings,
  { account, limits, folder, now }: { account: Account; limits: LimitOptions; folder: string; now: number },
): Promise<Finding> {
  const client = createDrainClient({ account, deployment, rpcUrl, limits, store: await openStore(folder) })
  try {
    const open = (await client.channels())
      .map((one) => toChannel(one, now))
      .filter(({ state }) => state !== 'closed')
    if (open.length === 0) return { status: 'ok', detail: 'none is open' }
    const expired = open.filter(({ state }) => state === 'expired')
    const detail = `${open.length} not closed, with ${sum(open)} USDC deposited`
    if (expired.length === 0) return { status: 'ok', detail }
    return {
      status: 'warning',
      detail: `${detail}; of these ${expired.length} expired, with ${sum(expired)} USDC`,
      next: `Get it back: have the agent call drain_close_channel for ${expired.map(({ channelId }) => channelId).join(', ')}.`,
    }
  } finally {
    await client.stop()
  }
}

function sum(channels: readonly { deposit: string }[]): string {
  return Usdc.format(channels.reduce((total, { deposit }) => total + Usdc.parse(deposit), 0n))
}

/** Where channels are kept, as `readSettings` finds it. */
export function stateDirOf(env: Env, home: string): string {
  return env.DRAIN_STATE_DIR || join(home, '.drain')
}
