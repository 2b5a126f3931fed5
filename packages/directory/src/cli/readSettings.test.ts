import { createHash } from 'node:crypto'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, it } from 'vitest'
import { type Environment, readSettings } from './readSettings.ts'

const key = generatePrivateKey()
const { address } = privateKeyToAccount(key)
const token = 'a token of thirty-two characters'
const read = (env: Environment) => readSettings({ DIRECTORY_OPERATOR_TOKEN: token, ...env })

it('has no operator by default, and does not start without one', async () => {
  await expect(readSettings({})).rejects.toThrow(
    /DIRECTORY_OPERATORS.*DIRECTORY_OPERATOR_TOKEN.*DIRECTORY_REVIEW/,
  )
  const { operators, review } = await readSettings({ DIRECTORY_REVIEW: 'off' })
  expect([operators, review]).toEqual([{ addresses: [], tokenHash: undefined }, false])
})

it('keeps the hash of the token, and not the token', async () => {
  const settings = await read({})
  expect(settings.operators?.tokenHash).toBe(createHash('sha256').update(token).digest('hex'))
  expect(JSON.stringify(settings)).not.toContain(token)
})

it('is careful unless it is told otherwise', async () => {
  const { review, allowLoopback, prober, funds, proxies, probers, origin, host } = await read({})
  expect([review, allowLoopback, prober, funds, proxies]).toEqual([
    true,
    false,
    undefined,
    undefined,
    undefined,
  ])
  expect([probers, origin, host]).toEqual([[], undefined, undefined])
  for (const word of ['false', 'no', '0', ''])
    expect((await read({ DIRECTORY_REVIEW: word })).review).toBe(true)
  for (const word of ['true', 'yes', '']) {
    expect((await read({ DIRECTORY_ALLOW_LOOPBACK: word })).allowLoopback).toBe(false)
  }
})

it('takes what is set to nothing as not set', async () => {
  const { host, origin, port } = await read({ HOST: '', DIRECTORY_ORIGIN: '', PORT: '' })
  expect([host, origin, port]).toEqual([undefined, undefined, undefined])
})

it('reads all of it', async () => {
  const settings = await read({
    ...{
      DIRECTORY_OPERATORS: ` ${address}, ${address} `,
      DIRECTORY_PROBERS: address,
      PROBER_PRIVATE_KEY: key,
    },
    ...{ PORT: '8080', HOST: '0.0.0.0', DIRECTORY_ORIGIN: 'https://market.example', DIRECTORY_PROXIES: '1' },
    ...{ DIRECTORY_PROBE_MINUTES: '2', DIRECTORY_CONFIRMATIONS: '0', DIRECTORY_REQUESTS_PER_MINUTE: '60' },
    ...{ DRAIN_RPC_URL: 'http://node.example', DIRECTORY_ALLOW_LOOPBACK: '1', FUNDS_PRIVATE_KEY: key },
    ...{ GAS_STATION_PER_DAY: '3', INVITES_USDC: '20', FUNDS_MAX_GAS_PRICE: '120.5' },
  })
  expect(settings).toMatchObject({
    ...{ operators: { addresses: [address, address] }, probers: [address], prober: { address } },
    ...{ port: 8080, host: '0.0.0.0', origin: 'https://market.example', proxies: 1, allowLoopback: true },
    ...{ probeEveryMs: 120_000, confirmations: 0, requestsPerMinute: 60 },
    chains: [{ rpcUrl: 'http://node.example', deployment: { chainId: 137 } }],
    funds: {
      ...{ account: { address }, chainId: 137, invites: { gas: 0n, usdc: 20_000_000n } },
      gasStation: { gas: 10n ** 17n, leastUsdc: 5_000_000n, perDay: 3n * 10n ** 18n },
      maxGasPrice: 120_500_000_000n,
    },
  })
  expect(
    JSON.stringify(settings, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
  ).not.toContain(key)
})

it.each<[string, Environment]>([
  ['DIRECTORY_OPERATOR_TOKEN', { DIRECTORY_OPERATOR_TOKEN: '' }],
  ['DIRECTORY_OPERATOR_TOKEN', { DIRECTORY_OPERATOR_TOKEN: 'x'.repeat(31) }],
  ['DIRECTORY_OPERATORS', { DIRECTORY_OPERATORS: 'admin' }],
  ['DIRECTORY_OPERATORS', { DIRECTORY_OPERATORS: `${address}0` }],
  ['DIRECTORY_PROBERS', { DIRECTORY_PROBERS: '0x1' }],
  ['PORT', { PORT: '-1' }],
  ['DIRECTORY_PROXIES', { DIRECTORY_PROXIES: 'one' }],
  ['DIRECTORY_REQUESTS_PER_MINUTE', { DIRECTORY_REQUESTS_PER_MINUTE: '1e9' }],
  ['DIRECTORY_PROBE_MINUTES', { DIRECTORY_PROBE_MINUTES: '0.5' }],
  ['DIRECTORY_CONFIRMATIONS', { DIRECTORY_CONFIRMATIONS: ' 1' }],
  ['DRAIN_CHAIN_ID', { DRAIN_CHAIN_ID: 'polygon' }],
  ['DRAIN_CONTRACT_ADDRESS', { DRAIN_CONTRACT_ADDRESS: '0x12' }],
  ['PROBER_PRIVATE_KEY', { PROBER_PRIVATE_KEY: '0x12' }],
  ['FUNDS_KEYSTORE', { FUNDS_KEYSTORE: '/nowhere/at/all' }],
  ['GAS_STATION_PER_DAY', { FUNDS_PRIVATE_KEY: key, GAS_STATION_PER_DAY: '-1' }],
  ['GAS_STATION_GIFT', { FUNDS_PRIVATE_KEY: key, GAS_STATION_PER_DAY: '1', GAS_STATION_GIFT: 'much' }],
  [
    'GAS_STATION_LEAST_USDC',
    { FUNDS_PRIVATE_KEY: key, GAS_STATION_PER_DAY: '1', GAS_STATION_LEAST_USDC: '5 USDC' },
  ],
  ['FUNDS_MAX_GAS_PRICE', { FUNDS_PRIVATE_KEY: key, FUNDS_MAX_GAS_PRICE: '-1' }],
  ['INVITES_USDC', { FUNDS_PRIVATE_KEY: key, INVITES_USDC: '0.0000001' }],
  ['INVITES_GAS', { FUNDS_PRIVATE_KEY: key, INVITES_GAS: '0x10' }],
  ['FUNDS_PRIVATE_KEY', { GAS_STATION_PER_DAY: '1' }],
  ['FUNDS_PRIVATE_KEY', { INVITES_USDC: '1' }],
])('refuses what can’t be so, and names %s', async (name, env) => {
  const error: Error = await read(env).then(
    () => new Error('it was taken'),
    (refusal) => refusal,
  )
  expect(error.message).toContain(name)
  // A key or token that is set wrongly is one all the same.
  expect(error.message).not.toContain(key)
})
