/** Who may decide: a token, or wallets that sign in. There is neither unless the settings name one. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Address, Hex } from 'viem'
import { isAddressEqual } from 'viem'
import { Problem } from '../problem.ts'
import type { Settings } from '../settings.ts'
import { readSigner } from '../signing/readAction.ts'
import type { Database } from '../store/Database.ts'

export type Operators = {
  /** An address or `token`, of a bearer token or of a session; `undefined` for everybody else. */
  operatorOf(request: Request): Promise<string | undefined>
  /** @throws {Problem} 401 for a wrong one. */
  signInWithToken(token: string): Promise<Session>
  /** With a signed `operator.signin` of the subject `desk` and an empty body. @throws {Problem} 401 */
  signInWithWallet(signed: { issuedAt: number; signature: Hex; chainId: number }): Promise<Session>
}

export type Session = {
  operator: string
  /** Also good as a bearer token. */
  token: string
  /** For `Set-Cookie`. */
  cookie: string
}

const sessionMs = 12 * 3_600_000
const cookieName = 'drain_desk'

export function createOperators({
  settings,
  database,
  now,
}: {
  settings: Settings
  database: Database
  now(): number
}): Operators {
  const { addresses, tokenHash } = settings.operators
  /** Shared by all instances, and never the token itself. */
  let secret: Promise<string> | undefined

  const isToken = (token: string) =>
    tokenHash !== undefined &&
    timingSafeEqual(createHash('sha256').update(token).digest(), Buffer.from(tokenHash, 'hex'))

  const isOperator = (address: Address) => addresses.some((one) => isAddressEqual(one, address))

  async function sign(payload: string): Promise<string> {
    secret ??= readSecret(database).catch((error) => {
      secret = undefined
      throw error
    })
    return createHmac('sha256', `${await secret}:${tokenHash ?? ''}`)
      .update(payload)
      .digest('base64url')
  }

  async function begin(operator: string): Promise<Session> {
    const payload = Buffer.from(JSON.stringify({ operator, until: now() + sessionMs })).toString('base64url')
    const token = `${payload}.${await sign(payload)}`
    const secure = settings.origin.startsWith('https:') ? '; Secure' : ''
    const cookie = `${cookieName}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${sessionMs / 1_000}${secure}`
    return { operator, token, cookie }
  }

  /** Whoever a session is of, unless it is over or its wallet is no operator any more. */
  async function readSession(token: string): Promise<string | undefined> {
    const [payload = '', mac = ''] = token.split('.')
    const wanted = Buffer.from(await sign(payload))
    const given = Buffer.from(mac)
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined
    const { operator, until } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (until < now()) return undefined
    if (operator === 'token') return tokenHash ? operator : undefined
    return isOperator(operator) ? operator : undefined
  }

  return {
    async operatorOf(request) {
      const bearer = /^Bearer ([\x21-\x7e]{1,1000})$/i.exec(request.headers.get('authorization') ?? '')?.[1]
      if (bearer !== undefined) return isToken(bearer) ? 'token' : readSession(bearer)
      const session = cookieOf(request)
      if (session === undefined || !isOwnPage(request, settings.origin)) return undefined
      return readSession(session)
    },
    async signInWithToken(token) {
      if (!isToken(token)) throw refused('That is not the operator’s token.')
      return begin('token')
    },
    async signInWithWallet({ issuedAt, signature, chainId }) {
      const about = {
        action: 'operator.signin',
        subject: 'desk',
        body: {},
        origin: settings.origin,
        now: now(),
      }
      const signer = await readSigner({ ...about, issuedAt, signature, chainId })
      if (!isOperator(signer)) throw refused(`${signer} is no operator of this directory.`)
      return begin(signer)
    },
  }
}

/** Ends a session, in the browser that it is in. */
export const signOutCookie = `${cookieName}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`

function refused(message: string): Problem {
  return new Problem(401, 'not_operator', message, { action: 'Its operators are named where it is started.' })
}

function cookieOf(request: Request): string | undefined {
  const cookies = (request.headers.get('cookie') ?? '').split(/;\s*/)
  return cookies.find((text) => text.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1)
}

/** A cookie counts only for what this directory's own pages send: browsers say where a request comes from. */
function isOwnPage(request: Request, origin: string): boolean {
  if (/^(?:GET|HEAD)$/.test(request.method)) return true
  return request.headers.get('origin') === origin
}

async function readSecret(database: Database): Promise<string> {
  return database.transaction(async (sql) => {
    await sql.run(
      "INSERT INTO secrets (name, value) VALUES ('sessions', $1) ON CONFLICT (name) DO NOTHING",
      randomBytes(32).toString('hex'),
    )
    const row = await sql.one<{ value: string }>("SELECT value FROM secrets WHERE name = 'sessions'")
    return (row as { value: string }).value
  })
}
