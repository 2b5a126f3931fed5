/** mppx's own client with our presets: what it signs on Polygon and Amoy, and what it refuses. */
import { Deployment } from '@drain/core'
import { Challenge, Credential, evm } from 'mppx'
import { Mppx } from 'mppx/client'
import { getAddress, recoverTypedDataAddress } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { challengeNonce } from '../authorization.ts'
import { usdcOn } from '../usdc.ts'
import { amoyUsdc, polygonUsdc, usdcCharge } from './chargeAssets.ts'

const account = privateKeyToAccount(generatePrivateKey())
const recipient = getAddress(`0x${'ab'.repeat(20)}`)
const client = (chains?: readonly (137 | 80002)[]) =>
  Mppx.create({
    methods: [usdcCharge({ account, maxAmount: '0.05', ...(chains && { chains }) })],
    polyfill: false,
  })

function asking(chainId: number, amount = '50000') {
  const challenge = Challenge.from({
    ...{ secretKey: 's'.repeat(32), realm: 'api.example', method: 'evm', intent: 'charge' },
    expires: new Date(Date.now() + 60_000),
    request: {
      ...{ amount, currency: usdcOn(chainId)?.address ?? recipient, recipient },
      methodDetails: { chainId, credentialTypes: ['authorization'], decimals: 6 },
    },
  })
  const headers = { 'WWW-Authenticate': Challenge.serialize(challenge) }
  return { challenge, response: new Response(null, { status: 402, headers }) }
}

test.each([
  [137, 'USD Coin'],
  [80002, 'USDC'],
] as const)('on chain %i an authorization is signed in the domain %s', async (chainId, name) => {
  const { challenge, response } = asking(chainId)
  const header = await client().createCredential(response)
  const { payload } = Credential.deserialize<evm.Types.AuthorizationPayload>(header)
  const signer = await recoverTypedDataAddress({
    domain: { name, version: '2', chainId, verifyingContract: Deployment.find({ chainId }).token },
    types: evm.Types.authorizationTypes,
    primaryType: 'TransferWithAuthorization',
    message: {
      ...{ from: account.address, to: recipient, value: 50_000n, nonce: challengeNonce(challenge) },
      ...{ validAfter: BigInt(payload.validAfter), validBefore: BigInt(payload.validBefore) },
    },
    signature: payload.signature as `0x${string}`,
  })
  expect(signer).toBe(account.address)
})

test('more than the maximum, another chain or a chain that was left out is not signed', async () => {
  await expect(client().createCredential(asking(137, '50001').response)).rejects.toThrow(/exceeds/)
  await expect(client().createCredential(asking(8453).response)).rejects.toThrow(/not allowed/)
  await expect(client([137]).createCredential(asking(80002).response)).rejects.toThrow(/not allowed/)
})

test('the presets are the tokens of the deployments', () => {
  expect([polygonUsdc, amoyUsdc].map(({ address, network }) => [network, address])).toEqual([
    ['eip155:137', Deployment.find({ chainId: 137 }).token],
    ['eip155:80002', Deployment.find({ chainId: 80002 }).token],
  ])
})
