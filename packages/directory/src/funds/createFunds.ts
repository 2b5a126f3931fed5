/** What newcomers are given: gas for wallets that have USDC, and USDC and gas for invites. */
import { createHmac, randomBytes } from 'node:crypto'
import { Usdc } from '@drain/core'
import { type Address, formatEther, parseGwei } from 'viem'
import type { Rooms } from '../Rooms.ts'
import type { Database } from '../store/Database.ts'
import type { InviteData } from '../web/PageData.ts'
import { off } from './fundProblems.ts'
import { createGiver } from './Giver.ts'
import type { Grant, GrantTransaction } from './Grant.ts'
import { createGrants } from './Grants.ts'
import { promiseGas } from './gasStation.ts'
import { createHotWallet } from './HotWallet.ts'
import { makeInvites, openInvite, useInvite } from './invites.ts'

export type Given = { grant: Grant; transactions: readonly GrantTransaction[]; chainId: number }

export type Funds = {
  /** @throws {Problem} that says what is missing, or when to ask again; 404 `off`. */
  askForGas(asker: { address: Address; network: string }): Promise<Given>
  /** Codes, told once. @throws {Problem} 409, 404 `off` */
  makeInvites(wanted: { count: number; gas: bigint; usdc: bigint; expiresAt: number }): Promise<string[]>
  /** For the page of a code. */
  inviteState(code: string): Promise<InviteData>
  /** @throws {Problem} */
  join(newcomer: { code: string; address: Address }): Promise<Given>
  get(grantId: string): Promise<Given | undefined>
  /** Goes on with what is under way; how many still are. */
  resume(): Promise<number>
  /** Resumes again and again, until `stop`. */
  start(everyMs?: number): { stop(): Promise<void> }
}

/**
 * @param maxGasPrice Wei per gas that no transaction may pay more than. Default 500 gwei.
 * @throws Error where the settings name a chain that they don't describe.
 */
export function createFunds({
  settings,
  database,
  log,
  now,
  maxGasPrice = parseGwei('500'),
}: Pick<Rooms, 'settings' | 'database' | 'log' | 'now'> & { maxGasPrice?: bigint | undefined }): Funds {
  const { funds, chains, confirmations } = settings
  if (!funds) return nothing()
  const { account, chainId, gasStation: station, invites: budget } = funds
  const chain = chains.find(({ deployment }) => deployment.chainId === chainId)
  if (!chain)
    throw new Error(`The funds are on chain ${chainId}, which is not among the chains of the settings.`)
  const wallet = createHotWallet({ account, chainId }, chain, { confirmations, maxGasPrice })
  const grants = createGrants(database)
  const giver = createGiver({ grants, wallet, log, now })

  const given = async (grant: Grant): Promise<Given> => ({
    ...{ grant, chainId },
    transactions: await grants.transactionsOf(grant.id),
  })

  return {
    async askForGas({ address, network }) {
      if (!station) throw off('The gas station')
      const asker = { address: lower(address), network: await keyed(database, network) }
      return given(await giver.give(await promiseGas({ station, grants, wallet, now }, asker)))
    },
    async makeInvites(wanted) {
      if (!budget) throw off('Inviting')
      return makeInvites({ budget, grants, wallet, now }, wanted)
    },
    async inviteState(code) {
      const invite = budget && (await openInvite({ budget, grants, wallet, now }, code))
      if (!invite) return { state: 'gone' }
      const { gas, usdc, expiresAt } = invite
      return { state: 'open', gas: formatEther(gas), usdc: Usdc.format(usdc), ...namesOf(chainId), expiresAt }
    },
    async join({ code, address }) {
      if (!budget) throw off('Joining by invite')
      const grant = await useInvite({ budget, grants, wallet, now }, { code, address: lower(address) })
      return given(await giver.give(grant))
    },
    async get(grantId) {
      const grant = await grants.get(grantId)
      return grant && given(grant)
    },
    resume: giver.resume,
    start: (everyMs = 5_000) =>
      repeat(giver.resume, everyMs, (error) => log.error({ err: error }, 'grants can’t be resumed')),
  }
}

function nothing(): Funds {
  return {
    askForGas: async () => Promise.reject(off('The gas station')),
    makeInvites: async () => Promise.reject(off('Inviting')),
    inviteState: async () => ({ state: 'gone' }),
    join: async () => Promise.reject(off('Joining by invite')),
    get: async () => undefined,
    resume: async () => 0,
    start: () => ({ stop: async () => undefined }),
  }
}

function repeat(work: () => Promise<unknown>, everyMs: number, failed: (error: unknown) => void) {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> = Promise.resolve()
  let isStopped = false
  const round = () => {
    running = work()
      .catch(failed)
      .finally(() => {
        if (!isStopped) timer = setTimeout(round, everyMs).unref()
      })
  }
  round()
  return {
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running
    },
  }
}

/** Networks are told apart, and nobody who reads the table learns which they were. */
async function keyed(database: Database, network: string): Promise<string> {
  const name = 'grants'
  const read = () => database.one<{ value: string }>('SELECT value FROM secrets WHERE name = $1', name)
  let secret = await read()
  if (!secret) {
    const value = randomBytes(32).toString('hex')
    await database.run(
      'INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      name,
      value,
    )
    secret = await read()
  }
  return createHmac('sha256', secret?.value ?? '')
    .update(network)
    .digest('hex')
    .slice(0, 32)
}

const lower = (address: Address) => address.toLowerCase() as Address

function namesOf(chainId: number): { coin: string; network: string } {
  if (chainId === 137) return { coin: 'POL', network: 'Polygon' }
  if (chainId === 80_002) return { coin: 'POL', network: 'Polygon Amoy' }
  return { coin: 'coins', network: `chain ${chainId}` }
}
