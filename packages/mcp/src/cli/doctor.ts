/** `drain-mcp doctor`: whether what the server needs is in place. */
import { homedir } from 'node:os'
import { type Streams, UsageError } from '@drain/keys/node'
import { checkAllowance, checkContract, checkGas, checkRpc, checkUsdc } from './doctor/chain.ts'
import {
  checkChannels,
  checkKey,
  checkLimits,
  checkNode,
  checkPlace,
  checkState,
  stateDirOf,
} from './doctor/local.ts'
import { type Check, createReport, type Finding, type Report } from './doctor/Report.ts'
import { checkDirectory, checkMethods } from './doctor/services.ts'
import { fileClients, findFileClient, type Machine } from './init/clients.ts'
import { readConfig } from './init/configFile.ts'

type Env = Record<string, string | undefined>

export type DoctorOptions = {
  /** Whose settings are checked; those of the environment by default. */
  client: string | undefined
  json: boolean
}

export type Place = Omit<Machine, 'env'> & {
  /** The version of Node.js. */
  node: string
  /** Unix milliseconds. */
  now: number
}

/** @returns 1 where a check failed. Warnings fail nothing. */
export async function doctor(
  { client, json }: DoctorOptions,
  env: Env,
  { stdout }: Pick<Streams, 'stdout'>,
  place: Place = {
    home: homedir(),
    platform: process.platform,
    node: process.versions.node,
    now: Date.now(),
  },
): Promise<0 | 1> {
  const file = client === undefined ? undefined : findFileClient(client)
  if (client !== undefined && !file)
    throw new UsageError(`doctor reads the configuration of ${Object.keys(fileClients).join(', ')}.`)
  const report = createReport((check) => json || stdout.write(lineOf(check)))
  await report.check('node', () => checkNode(place.node))
  const path = file?.file({ ...place, env })
  const used = path ? await report.check('entry', () => checkEntry(path, env, client)) : env
  if (used) await checkAll(report, used, place)
  const ok = report.checks.every(({ status }) => status !== 'failed')
  if (json) stdout.write(`${JSON.stringify({ ok, checks: report.checks }, undefined, 2)}\n`)
  return ok ? 0 : 1
}

/** One that failed takes along only those that need what it looks for. */
async function checkAll(report: Report, env: Env, { home, now }: Place): Promise<void> {
  const settings = await report.check('settings', () => checkPlace(env))
  const limits = await report.check('limits', () => checkLimits(env))
  const account = await report.check('key', () => checkKey(env))
  const folder = await report.check('state', () => checkState(stateDirOf(env, home)))
  if (!settings) return
  const client = await report.check('rpc', () => checkRpc(settings))
  if (client) {
    const hasContract = await report.check('contract', () => checkContract(client, settings))
    if (account) {
      const whose = { client, settings, account }
      await report.check('usdc', () => checkUsdc(whose, limits?.perRequest ?? '0.000001'))
      await report.check('gas', () => checkGas(whose))
      if (hasContract) await report.check('allowance', () => checkAllowance(whose))
    }
  }
  if (account && limits && folder)
    await report.check('channels', () => checkChannels(settings, { account, limits, folder, now }))
  await report.check('directory', () => checkDirectory(settings))
  await report.check('methods', () => checkMethods(settings, account))
}

/** What a client starts the server with: little of its own environment gets through, and none of this one. */
function checkEntry(path: string, env: Env, client: string | undefined): Finding<Env> {
  const { entry } = readConfig(path)
  const remedy = `npx -y drain-mcp init ${client} writes it.`
  if (!entry) return { status: 'failed', detail: `${path} has no entry "drain".`, next: remedy }
  const others = Object.entries(env).filter(([name]) => !name.startsWith('DRAIN_'))
  return { status: 'ok', detail: path, value: { ...Object.fromEntries(others), ...entry.env } }
}

function lineOf({ status, name, detail, next }: Check): string {
  return `${status.padEnd(7)}  ${name.padEnd(9)}  ${detail}${next ? `${/[.!?]$/.test(detail) ? '' : '.'} ${next}` : ''}\n`
}
