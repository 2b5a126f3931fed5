import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ConfigError, readConfig } from './config.ts'

const key = `0x${'c0ffee'.padStart(64, '1')}`
const local = {
  PROVIDER_PRIVATE_KEY: key,
  CHAIN_ID: '31337',
  RPC_URL: 'http://127.0.0.1:8545',
  CONTRACT_ADDRESS: '0x5FbDB2315678afecb367f032d93F642f64180aa3',
  USDC_ADDRESS: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
}

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('readConfig', () => {
  it('serves the local model with nothing but a key, a chain and a contract', () => {
    const config = readConfig(local)
    expect([...config.models.keys()]).toEqual(['drain-local'])
    expect(config).toMatchObject({ upstream: undefined, host: '127.0.0.1', port: 3_000, hasFreeRoute: false })
  })

  it('knows the contract and the token of a live chain', () => {
    const { PROVIDER_PRIVATE_KEY, RPC_URL } = local
    expect(readConfig({ PROVIDER_PRIVATE_KEY, RPC_URL, CHAIN_ID: '137' }).contractAddress).toBeUndefined()
  })

  it('serves OpenAI’s models with a key of theirs', () => {
    const config = readConfig({ ...local, OPENAI_API_KEY: 'sk-test' })
    expect([...config.models.keys()]).toContain('gpt-4o-mini')
    expect(config.upstream).toEqual({
      apiKey: 'sk-test',
      baseUrl: 'https://api.openai.com/v1',
      timeoutMs: 300_000,
    })
  })

  it('takes several nodes, and nodes and the admin token from files that may change', () => {
    expect(readConfig({ ...local, RPC_URL: 'http://one/key, https://two' }).rpcUrl).toEqual([
      'http://one/key',
      'https://two',
    ])
    const { RPC_URL: _, ...rest } = local
    const { rpcUrl, adminToken } = readConfig({ ...rest, RPC_URL_FILE: 'nodes', ADMIN_TOKEN_FILE: 'token' })
    expect([typeof rpcUrl, typeof adminToken]).toEqual(['function', 'function'])
  })

  it('opens channels for others only where it knows what gas costs', () => {
    expect(readConfig(local).relay).toBeUndefined()
    expect(readConfig({ ...local, RELAY_COIN_PRICE: '0.25' }).relay).toEqual({ nativePrice: '0.25' })
    expect(problemsOf({ ...local, RELAY_COIN_PRICE: 'cheap' })).toHaveLength(1)
  })

  it('takes empty variables for unset ones', () => {
    expect(readConfig({ ...local, OPENAI_API_KEY: '', OPENAI_BASE_URL: ' ', PORT: '' }).port).toBe(3_000)
  })

  it('says everything that is missing at once', () => {
    const problems = problemsOf({})
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
      'CHAIN_ID',
      'PROVIDER_PRIVATE_KEY',
      'RPC_URL',
    ])
    expect(problems.every((problem) => problem.includes('is not set.'))).toBe(true)
  })

  it.each([
    ['PORT', '70000', 'whole number from 0 to 65535'],
    ['PORT', '80a', 'whole number from 0 to 65535'],
    ['CHAIN_ID', 'polygon', 'whole number'],
    ['RPC_URL', 'localhost:8545', 'no http or https URL'],
    ['RPC_URL', 'http://node, localhost:8545', 'no http or https URL'],
    ['CONTRACT_ADDRESS', '0x123', 'no address'],
    ['MARGIN_PERCENT', '20%', 'at most two decimals'],
    ['MARGIN_PERCENT', '-5', 'at most two decimals'],
    ['MIN_DEPOSIT', '1e3', 'not a valid amount'],
    ['MAX_DURATION', '2 weeks', 'not a valid duration'],
    ['CLAIM_INTERVAL', '30d', 'less than 24 days'],
    ['CLAIM_THRESHOLD', '-1', 'not a valid amount'],
    ['MAX_BODY_BYTES', '1e9', 'whole number from 1024'],
    ['ADMIN_TOKEN', 'secret', 'at least 16 characters'],
    ['FREE_ROUTE', 'yes', '1 or 0'],
    ['MODELS', 'gpt-9', 'the price of gpt-9 is unknown'],
  ])('refuses %s=%s', (name, value, message) => {
    expect(problemsOf({ ...local, [name]: value })).toEqual([expect.stringContaining(message)])
    expect(problemsOf({ ...local, [name]: value })[0]).toMatch(new RegExp(`^${name}: `))
  })

  it('refuses what contradicts itself', () => {
    expect(problemsOf({ ...local, CONTRACT_ADDRESS: '' })[0]).toMatch(/^CONTRACT_ADDRESS, USDC_ADDRESS: /)
    expect(problemsOf({ ...local, OPENAI_BASE_URL: 'http://127.0.0.1:11434/v1' })[0]).toMatch(
      /^OPENAI_API_KEY/,
    )
    expect(problemsOf({ ...local, MODELS: 'gpt-4o' })[0]).toMatch(/^OPENAI_API_KEY/)
  })

  it('gives nothing away on a chain with real money', () => {
    expect(readConfig({ ...local, FREE_ROUTE: '1' }).hasFreeRoute).toBe(true)
    expect(problemsOf({ ...local, CHAIN_ID: '137', FREE_ROUTE: '1' })[0]).toMatch(/^FREE_ROUTE/)
  })

  it.each([`${key}00`, key.slice(0, -1), `0x${'f'.repeat(64)}`, `0x${'0'.repeat(64)}`, 'my secret'])(
    'never repeats a key that it refuses',
    (secret) => {
      const problems = problemsOf({ ...local, PROVIDER_PRIVATE_KEY: secret })
      expect(problems).toEqual([expect.stringContaining('no private key')])
      expect(problems.join()).not.toContain(secret.slice(2))
    },
  )
})

it('is documented to the last variable', async () => {
  const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8')
  const [source, example, readme] = await Promise.all(
    ['./config.ts', '../env.example', '../README.md'].map(read),
  )
  const names = new Set(source?.match(/(?<=')[A-Z]+(?:_[A-Z]+)*(?=')/g))
  expect(names.size).toBe(27)
  for (const name of names) {
    expect(example).toMatch(new RegExp(`^(# )?${name}=`, 'm'))
    expect(readme).toContain(`\`${name}\``)
  }
})
