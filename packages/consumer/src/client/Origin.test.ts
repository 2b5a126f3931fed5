import { Deployment, UntrustedProviderError } from '@drain/core'
import type { Address } from 'viem'
import { expect, test } from 'vitest'
import * as Origin from './Origin.ts'

test.each([
  'https://api.example.com/v1',
  'https://203.0.113.5/',
  'http://localhost:3000/',
  'http://api.localhost/',
  'http://127.0.0.1:8545/',
  'http://127.1/',
  'http://0x7f000001/',
  'http://[::1]:3000/',
])('pays %s', (url) => {
  expect(() => Origin.assertPayable(new URL(url))).not.toThrow()
})

test.each([
  'http://api.example.com/',
  'http://localhost.example.com/',
  'http://127.0.0.1.example.com/',
  'http://192.168.1.10/',
  'http://[::ffff:c0a8:1]/',
  'http://notlocalhost/',
  'ftp://localhost/',
])('does not pay %s', (url) => {
  expect(() => Origin.assertPayable(new URL(url))).toThrow(UntrustedProviderError)
})

const contract = '0x00000000000000000000000000000000000d4a14'
const provider: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const other = '0x00000000000000000000000000000000000000aa'
const deployment = Deployment.from({ chainId: 137, contract, token: other })
const known = { origin: 'https://a.example', deployment, provider }
const offer = { provider, contract, chainId: 137, features: [] } as const

test('an offer must name the chain, the contract and the provider that are known', () => {
  expect(() => Origin.assertOffer(offer, known)).not.toThrow()
  expect(() =>
    Origin.assertOffer({ ...offer, provider: provider.toLowerCase() as '0x' }, known),
  ).not.toThrow()
  expect(() =>
    Origin.assertOffer({ ...offer, provider: other }, { ...known, provider: undefined }),
  ).not.toThrow()
  expect(() => Origin.assertOffer({ ...offer, chainId: 1 }, known)).toThrow(
    /on chain 1, this client pays on 137/,
  )
  expect(() => Origin.assertOffer({ ...offer, contract: other }, known)).toThrow(/names the contract/)
  expect(() => Origin.assertOffer({ ...offer, provider: other }, known)).toThrow(/now names/)
})
