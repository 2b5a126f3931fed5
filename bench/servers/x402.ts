/**
 * x402's batch settlement as it ships: `@x402/express`, its in-memory store, and a facilitator in the same process. The store
 * starts with the channels open, and their state on chain counts as fresh for good, so that it never waits for a node.
 */
import { x402Facilitator } from '@x402/core/facilitator'
import type { FacilitatorEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme as FacilitatorScheme } from '@x402/evm/batch-settlement/facilitator'
import { BatchSettlementEvmScheme, InMemoryChannelStorage } from '@x402/evm/batch-settlement/server'
import { paymentMiddleware, x402ResourceServer } from '@x402/express'
import expressApp from 'express'
import { privateKeyToAccount } from 'viem/accounts'
import { channelOf, network, receiver, receiverAuthorizerKey, token, withdrawDelay } from '../payers/x402.ts'
import { listen } from './listen.ts'
import { answer, path, price, type Server } from './Server.ts'

export async function start({ channels = 16 } = {}): Promise<Server> {
  const storage = new InMemoryChannelStorage()
  const ids = Array.from({ length: channels }, (_, index) => channelOf(index))
  for (const { channelId, channelConfig } of ids) {
    await storage.updateChannel(channelId, () => ({
      channelId,
      channelConfig,
      chargedCumulativeAmount: '0',
      signedMaxClaimable: '0',
      signature: '0x',
      balance: `${10n ** 15n}`,
      totalClaimed: '0',
      withdrawRequestedAt: 0,
      refundNonce: 0,
      onchainSyncedAt: Date.now(),
      lastRequestTimestamp: Date.now(),
    }))
  }

  const authorizer = privateKeyToAccount(receiverAuthorizerKey)
  const unused = () => Promise.reject(new Error('The chain is not to be asked.'))
  const signer: FacilitatorEvmSigner = {
    getAddresses: () => [authorizer.address],
    readContract: unused,
    verifyTypedData: unused,
    writeContract: unused,
    sendTransaction: unused,
    waitForTransactionReceipt: unused,
    getCode: unused,
  }
  const facilitator = new x402Facilitator().register(network, new FacilitatorScheme(signer, authorizer))
  const scheme = new BatchSettlementEvmScheme(receiver, {
    storage,
    receiverAuthorizerSigner: authorizer,
    withdrawDelay,
    onchainStateTtlMs: Number.MAX_SAFE_INTEGER,
  })
  const server = new x402ResourceServer({
    verify: (payload, requirements) => facilitator.verify(payload, requirements),
    settle: (payload, requirements) => facilitator.settle(payload, requirements),
    getSupported: async () => facilitator.getSupported() as never,
  }).register(network, scheme)

  const app = expressApp()
  app.use(
    paymentMiddleware(
      {
        [`GET ${path}`]: {
          accepts: {
            scheme: 'batch-settlement',
            network,
            payTo: receiver,
            price: { amount: price.toString(), asset: token, extra: { name: 'USDC', version: '2' } },
          },
        },
      },
      server,
    ),
  )
  app.get(path, (_: unknown, res: { json(value: unknown): void }) => res.json(answer))
  return {
    ...(await listen(app)),
    async paid() {
      const all = await storage.list()
      return Number(all.reduce((sum, channel) => sum + BigInt(channel.chargedCumulativeAmount), 0n) / price)
    },
  }
}
