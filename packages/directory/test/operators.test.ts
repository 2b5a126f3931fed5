/** Who may decide, what is decided, and what is written down of it. */
import { createHash, createHmac } from 'node:crypto'
import { DirectoryAction } from '@drain/core'
import { pino } from 'pino'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type StartOptions, startDirectory } from '../src/startDirectory.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import { aProvider } from './aProvider.ts'
import { type Json, operatorToken, startTestDirectory, type TestDirectory } from './startTestDirectory.ts'

const newAccount = () => privateKeyToAccount(generatePrivateKey())
const operator = newAccount()
const tokenHash = createHash('sha256').update(operatorToken).digest('hex')
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
const overview = '/api/operators/overview'
const decisions = '/api/operators/decisions'

let market: TestDirectory
let later = 0
let count = 0

beforeAll(async () => {
  const operators = { addresses: [operator.address], tokenHash }
  market = await startTestDirectory({ operators, now: () => Date.now() + later })
})
afterAll(() => market?.close())

async function waiting(changes: object = {}): Promise<string> {
  const id = `waiting-${++count}`
  await market.directory.rooms.providers.add(
    aProvider({ id, apiUrl: `https://${id}.example`, state: 'pending', signedAt: 1_000, ...changes }),
  )
  return id
}
const stateOf = async (id: string) => (await market.directory.rooms.providers.get(id))?.state
const may = async (headers: Record<string, string>) => (await market.get(overview, headers)).status === 200

/** As a wallet does: the body that is signed is empty. */
async function signIn(account = operator, options: { directory?: string; issuedAt?: number } = {}) {
  const { directory = market.url, issuedAt = Date.now() } = options
  const { chainId } = market.chain
  const signin = {
    directory,
    action: 'operator.signin',
    subject: 'desk',
    body: {},
    issuedAt: BigInt(issuedAt),
  }
  const signature = await account.signTypedData(DirectoryAction.typedData(signin, { chainId }))
  return market.send('POST', '/api/operators/session', { chainId, issuedAt, signature })
}

async function signInWithToken(token: string): Promise<string> {
  const response = await fetch(`${market.url}/desk/session`, {
    ...{ method: 'POST', redirect: 'manual', headers: { Origin: market.url } },
    body: new URLSearchParams({ token }),
  })
  return response.headers.get('set-cookie') ?? ''
}

describe('a session', () => {
  it('begins with the token, in a cookie that no script and no other site gets', async () => {
    const cookie = await signInWithToken(operatorToken)
    expect(cookie).toMatch(/^drain_desk=[^;]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/)
    expect(cookie).not.toContain(operatorToken)
    expect(await may({ Cookie: cookie.split(';')[0] as string })).toBe(true)
    for (const wrong of ['', 'wrong', tokenHash, operatorToken.slice(1)]) {
      expect(await signInWithToken(wrong)).toBe('')
    }
  })

  it('begins with the signature of an operator’s wallet, for this directory and of now', async () => {
    const { status, json } = await signIn()
    expect([status, json.operator]).toEqual([200, operator.address])
    expect(await may(bearer(json.token))).toBe(true)
    for (const [account, options] of [
      [newAccount(), {}],
      [operator, { directory: 'https://other.example' }],
      [operator, { issuedAt: Date.now() - 700_000 }],
      [operator, { issuedAt: Date.now() + 700_000 }],
    ] as const) {
      expect((await signIn(account, options)).status).toBe(401)
    }
  })

  it('can’t be forged', async () => {
    const { token } = (await signIn()).json
    const [payload, mac] = token.split('.')
    const said = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const longer = encode({ ...said, until: said.until + 1 })
    const guessed = createHmac('sha256', `:${tokenHash}`).update(payload).digest('base64url')
    const forged = [
      ...[
        payload,
        `${payload}.`,
        `.${mac}`,
        '.',
        `${longer}.${mac}`,
        `${payload}.${mac}x`,
        `${payload}.${guessed}`,
      ],
      ...[`${encode({ operator: 'token', until: 9e15 })}.${mac}`, `${encode({})}.${mac}`, tokenHash],
    ]
    for (const one of forged) {
      expect(await may(bearer(one))).toBe(false)
      expect(await may({ Cookie: `drain_desk=${one}` })).toBe(false)
    }
    expect(await may(bearer(token))).toBe(true)
  })

  it('is over after twelve hours', async () => {
    const cookie = (await signInWithToken(operatorToken)).split(';')[0] as string
    later = 12 * 3_600_000 - 60_000
    expect(await may({ Cookie: cookie })).toBe(true)
    later = 12 * 3_600_000 + 60_000
    expect(await may({ Cookie: cookie })).toBe(false)
    later = 0
  })

  it('is good at every instance, and at none where its wallet or token is no operator’s any more', async () => {
    const sessions = [
      (await signIn()).json.token,
      (await signInWithToken(operatorToken)).split(/[=;]/)[1] as string,
    ]
    const opened = async (operators: StartOptions['operators']) => {
      const { database, log } = market.directory.rooms
      const directory = await startDirectory({ database, log, operators, port: 0 })
      const answers = []
      for (const token of sessions) {
        answers.push((await fetch(`${directory.url}${overview}`, { headers: bearer(token) })).status)
      }
      await directory.close()
      return answers
    }
    expect(await opened({ addresses: [operator.address], tokenHash })).toEqual([200, 200])
    expect(await opened({ addresses: [], tokenHash })).toEqual([401, 200])
    const another = createHash('sha256').update('another').digest('hex')
    expect(await opened({ addresses: [operator.address], tokenHash: another })).toEqual([401, 401])
    expect(await opened({ addresses: [] })).toEqual([401, 401])
  })

  it('decides by its cookie only for this directory’s own pages', async () => {
    const cookie = (await signInWithToken(operatorToken)).split(';')[0] as string
    const id = await waiting()
    const decide = async (headers: Record<string, string>) =>
      (await market.send('POST', decisions, { action: 'approve', id }, { Cookie: cookie, ...headers })).status
    for (const origin of [
      'https://evil.example',
      'null',
      `${market.url}.evil.example`,
      market.url.replace(/\d$/, ''),
    ]) {
      expect(await decide({ Origin: origin })).toBe(401)
    }
    expect(await decide({})).toBe(401)
    expect(await stateOf(id)).toBe('pending')
    expect(await decide({ Origin: market.url })).toBe(200)
  })
})

describe('a directory without operators', () => {
  it('lets nobody in, with no word and no signature', async () => {
    const database = await openSqlite(':memory:')
    const directory = await startDirectory({ database, port: 0, log: pino({ level: 'silent' }) })
    const empty = createHash('sha256').update('').digest('hex')
    for (const token of ['undefined', 'admin', 'password', empty, 'token', '.']) {
      for (const path of [overview, '/metrics']) {
        expect((await fetch(`${directory.url}${path}`, { headers: bearer(token) })).status).toBe(401)
      }
      const body = new URLSearchParams({ token })
      const signed = await fetch(`${directory.url}/desk/session`, {
        method: 'POST',
        body,
        redirect: 'manual',
      })
      expect([signed.status, signed.headers.get('set-cookie')]).toEqual([401, null])
    }
    await directory.close()
    await database.close()
  })
})

describe('a decision', () => {
  const decide = (action: string, id: string, more: object = {}) =>
    market.send('POST', decisions, { action, id, ...more }, bearer(operatorToken))

  it('is made where it can be, and written down with who and why', async () => {
    const id = await waiting()
    for (const [action, status, state] of [
      ['reinstate', 409, 'pending'],
      ['approve', 200, 'approved'],
      ['reject', 409, 'approved'],
      ['suspend', 200, 'suspended'],
      ['approve', 409, 'suspended'],
      ['reinstate', 200, 'approved'],
    ] as const) {
      expect((await decide(action, id, { note: `To ${action}.` })).status).toBe(status)
      expect(await stateOf(id)).toBe(state)
    }
    const { json } = await market.get(overview, bearer(operatorToken))
    const own = json.actions.filter(({ subject }: Json) => subject === id)
    expect(own.map(({ action }: Json) => action).sort()).toEqual(['approve', 'reinstate', 'suspend'])
    expect(own.find(({ action }: Json) => action === 'suspend')).toMatchObject({
      operator: 'token',
      reason: 'To suspend.',
    })
    const { token } = (await signIn()).json
    const other = await waiting()
    await market.send('POST', decisions, { action: 'reject', id: other }, bearer(token))
    const after = (await market.get(overview, bearer(token))).json
    expect(after.actions[0]).toMatchObject({ operator: operator.address, action: 'reject', subject: other })
  })

  it('is refused for what there isn’t', async () => {
    expect((await decide('approve', 'nobody')).status).toBe(404)
    expect((await decide('hide', 'nobody/0x/none')).status).toBe(404)
    expect((await decide('constructor', await waiting())).status).toBe(400)
    expect((await decide('approve', await waiting(), { note: 'x'.repeat(501) })).status).toBe(400)
  })

  it('is about what the operator saw: not about what its owner made of it since', async () => {
    const { signedAt: seen } = aProvider({ signedAt: 1_000 })
    const id = await waiting()
    const { profile } = aProvider()
    await market.directory.rooms.providers.update(id, () => ({
      ...{ profile: { ...profile, name: 'Quite another' }, signedAt: 2_000 },
    }))
    const { status, json } = await decide('approve', id, { seen })
    expect([status, json.code, await stateOf(id)]).toEqual([409, 'changed_meanwhile', 'pending'])
    const page = await fetch(`${market.url}/desk`, { headers: bearer(operatorToken) })
    const form = (await page.text()).split('</form>').find((text) => text.includes(`value="${id}"`))
    expect(form).toContain('name="seen" value="2000"')
    expect((await decide('approve', id, { seen: 2_000 })).status).toBe(200)
  })

  it('isn’t made where it can’t be written down', async () => {
    const id = await waiting()
    const { database } = market.directory.rooms
    await database.run('ALTER TABLE actions RENAME TO lost')
    try {
      expect((await decide('approve', id)).status).toBe(500)
    } finally {
      await database.run('ALTER TABLE lost RENAME TO actions')
    }
    expect(await stateOf(id)).toBe('pending')
  })

  it('takes off one that answers every probe, by its id', async () => {
    const id = await waiting({ state: 'approved' })
    const cookie = (await signInWithToken(operatorToken)).split(';')[0] as string
    const response = await fetch(`${market.url}/desk/decisions`, {
      ...{ method: 'POST', redirect: 'manual', headers: { Cookie: cookie, Origin: market.url } },
      body: new URLSearchParams({ action: 'suspend', id, note: 'Takes money and gives nothing.' }),
    })
    expect([response.status, await stateOf(id)]).toEqual([303, 'suspended'])
    const page = await fetch(`${market.url}/desk`, { headers: { Cookie: cookie } })
    expect(await page.text()).toContain('id="suspend-id"')
  })
})
