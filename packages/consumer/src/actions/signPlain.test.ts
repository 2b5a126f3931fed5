import { Deployment } from '@drain/core'
import { localAccount } from '@drain/keys'
import { createWalletClient, custom } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { signChannelRequest } from './signChannelRequest.ts'
import { signVoucher } from './signVoucher.ts'

const privateKey = `0x${'07'.repeat(32)}` as const
const deployment = Deployment.from({
  chainId: 137,
  contract: '0x00000000000000000000000000000000000d4a14',
  token: '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359',
})
const transport = custom({ request: async () => Promise.reject(new Error('signing asks nobody')) })

test('a local account signs the digest itself: the general way through typed data is not taken', async () => {
  const refuse = async () => Promise.reject(new Error('not to be asked'))
  const quick = { ...localAccount(privateKey), signTypedData: refuse }
  const channelId = `0x${'11'.repeat(32)}` as const
  const voucher = { deployment, channelId, amount: 5n, nonce: 1n }
  const request = { deployment, channelId, action: 'close', deadline: 1_800_000_000n } as const
  const [ours, viems] = [quick, privateKeyToAccount(privateKey)].map((account) =>
    createWalletClient({ account, transport }),
  )
  if (!ours || !viems) throw new Error('two clients')
  const slow = { ...privateKeyToAccount(privateKey), source: 'custom' as const }
  const general = createWalletClient({ account: slow, transport })
  for (const client of [viems, general]) {
    expect(await signVoucher(ours, voucher)).toEqual(await signVoucher(client, voucher))
    expect(await signChannelRequest(ours, request)).toEqual(await signChannelRequest(client, request))
  }
})
