import { Deployment, DrainError, UnknownDeploymentError } from '@drain/core'
import { createWalletClient, http } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { expect, test } from 'vitest'
import { createDrainClient, type DrainClientOptions } from './createDrainClient.ts'

const account = privateKeyToAccount(generatePrivateKey())
const limits = { perRequest: '0.05', perChannel: '5' }
const deployment = Deployment.from({ chainId: 31337, contract: account.address, token: account.address })

test.each<[string, Partial<DrainClientOptions>]>([
  ['an account on a live chain', { account, chainId: 137 }],
  ['an account on a viem chain', { account, chain: foundry, deployment }],
  ['an account and a node', { account, deployment, rpcUrl: 'http://127.0.0.1:1' }],
  ['addresses', { account, chainId: 137, contractAddress: account.address, usdcAddress: account.address }],
  [
    'a wallet client',
    { walletClient: createWalletClient({ account, chain: foundry, transport: http() }), deployment },
  ],
  [
    'a wallet client and an account',
    { walletClient: createWalletClient({ transport: http('http://127.0.0.1:1') }), account, deployment },
  ],
])('%s is enough', (_, options) => {
  expect(createDrainClient({ limits, ...options }).fetch).toBeTypeOf('function')
})

test.each<[string, Partial<DrainClientOptions>, string]>([
  ['limits', { account, chainId: 137, limits: undefined as never }, 'limits_missing'],
  ['a chain', { account }, 'chain_missing'],
  ['an account', { chainId: 137 }, 'account_missing'],
  ['a key', { account: { address: account.address, type: 'json-rpc' }, chainId: 137 }, 'account_missing'],
  ['a node', { account, deployment }, 'rpc_missing'],
  [
    'an account in the wallet client',
    { walletClient: createWalletClient({ chain: foundry, transport: http() }), deployment },
    'account_missing',
  ],
])('says that %s is missing', (_, options, code) => {
  let error: unknown
  try {
    createDrainClient({ limits, ...options })
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(DrainError)
  expect(error).toMatchObject({ code })
})

test('a chain without a known contract needs one', () => {
  expect(() => createDrainClient({ account, limits, chainId: 1 })).toThrow(UnknownDeploymentError)
})
