/** The API of skills on a database in memory, with providers of one's own. */
import { DirectoryAction } from '@drain/core'
import pino from 'pino'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createApi } from '../src/http/createApi.ts'
import { createRateLimit } from '../src/http/RateLimit.ts'
import type { ProviderRecord } from '../src/Provider.ts'
import type { Rooms } from '../src/Rooms.ts'
import { skillRoutes } from '../src/skills/skillRoutes.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import { aProvider } from './aProvider.ts'

export const origin = 'https://market.example'
const operatorToken = 'operator'

export async function startSkills() {
  const database = await openSqlite(':memory:')
  const listed = new Map<string, ProviderRecord>()
  let time = 1_800_000_000_000
  const rooms = {
    settings: { origin, chains: [{ deployment: { chainId: 31_337 } }] },
    database,
    snapshot: { get: (id: string) => listed.get(id) },
    now: () => time,
  } as unknown as Rooms
  const app = createApi({
    routes: skillRoutes(rooms),
    operators: {
      operatorOf: async (request: Request) =>
        request.headers.get('authorization') === `Bearer ${operatorToken}` ? 'token' : undefined,
    } as Parameters<typeof createApi>[0]['operators'],
    limit: createRateLimit(1e9, () => time),
    proxies: 0,
    log: pino({ level: 'silent' }),
  })

  async function ask(method: string, path: string, body?: unknown, headers = {}) {
    const response = await app.request(
      `${origin}${path}`,
      {
        method,
        headers,
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
      { incoming: { socket: { remoteAddress: '127.0.0.1' } } },
    )
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      body: text ? JSON.parse(text) : undefined,
    }
  }

  return {
    ask,
    database,
    operator: { Authorization: `Bearer ${operatorToken}` },
    now: () => time,
    /** Moves the clock and tells it. */
    later(milliseconds = 1_000) {
      time += milliseconds
      return time
    },
    list(changes: Partial<ProviderRecord> = {}) {
      const record = { ...aProvider(changes), revision: 1 }
      listed.set(record.id, record)
      return record
    },
    close: () => database.close(),
  }
}

/** A wallet that signs what it sends. */
export function createAuthor() {
  const account = privateKeyToAccount(generatePrivateKey())
  return {
    address: account.address,
    async sign(action: string, subject: string, issuedAt: number, body: object = {}, directory = origin) {
      const typed = DirectoryAction.typedData(
        { directory, action, subject, body, issuedAt: BigInt(issuedAt) },
        { chainId: 31_337 },
      )
      return { ...body, issuedAt, signature: await account.signTypedData(typed) }
    },
  }
}
