/** The reference provider on a private chain, and clients that pay it from accounts of their own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { createDrainClient, type DrainClient, type DrainClientOptions, Usdc } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { type Address, erc20Abi, toHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect } from 'vitest'
import { readConfig } from '../../ai-provider/src/config.ts'
import { startServer } from '../../ai-provider/src/server.ts'
import { startWireUpstream, type WireUpstream } from '../../ai-provider/src/wireUpstream.fixture.ts'

/** A provider that sells `drain-local` (its own text) and `talker` (whatever `upstream` answers). */
export type Shop = {
  /** Without `/v1`. */
  url: string
  chain: LocalChain
  upstream: WireUpstream
  /** A client with 10 USDC of its own and no channel yet. */
  payer(options?: Partial<DrainClientOptions>): Promise<Payer>
  close(): Promise<void>
}

export type Payer = {
  client: DrainClient
  /** Base units that the provider's ledger has charged this account, once nothing of it is at work any more. */
  charged(): Promise<bigint>
  /** Checks that the client believes what the provider has charged, to the unit. Returns it, in base units. */
  agreement(): Promise<bigint>
  /** Closes all channels and checks that the chain took what the provider has charged, to the unit. Returns it, in base units. */
  settle(): Promise<bigint>
}

const funds = Usdc.parse('10')

export async function startShop(): Promise<Shop> {
  const chain = await startLocalChain()
  const folder = await mkdtemp(join(tmpdir(), 'agent-shop-'))
  const upstream = await startWireUpstream()
  const { contract, token } = chain.deployment
  const provider = chain.accounts[1]
  const database = join(folder, 'provider.db')
  const server = await startServer(
    readConfig({
      PROVIDER_PRIVATE_KEY: toHex(provider.getHdKey().privateKey ?? 0),
      CHAIN_ID: String(chain.chainId),
      RPC_URL: chain.rpcUrl,
      CONTRACT_ADDRESS: contract,
      USDC_ADDRESS: token,
      PORT: '0',
      DATABASE: database,
      OPENAI_BASE_URL: upstream.baseUrl,
      OPENAI_API_KEY: 'any',
      MODELS: 'drain-local,talker=0.001/0.002',
    }),
    () => {},
  )
  const identity = { chainId: chain.chainId, contract, provider: provider.address }
  // Beside the server, as an operator's own tools read it.
  const ledger = sqliteLedger(database, { check: 'quick', log: () => {} })(identity)

  async function channelsOf(consumer: Address) {
    const channels = []
    for await (const channel of ledger.channels()) {
      if (channel.consumer.toLowerCase() === consumer.toLowerCase()) channels.push(channel)
    }
    return channels
  }

  return {
    url: server.url,
    chain,
    upstream,
    async payer(options = {}) {
      const account = privateKeyToAccount(generatePrivateKey())
      await chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
      await chain.fund(account.address, funds)
      const client = createDrainClient({
        account,
        deployment: chain.deployment,
        rpcUrl: chain.rpcUrl,
        limits: { perRequest: '0.05', perChannel: '1' },
        ...options,
      })
      const paidOut = async () =>
        funds -
        (await chain.publicClient.readContract({
          address: token,
          abi: erc20Abi,
          functionName: 'balanceOf',
          args: [account.address],
        }))
      async function charged() {
        await expect
          .poll(async () => (await channelsOf(account.address)).every(({ reserved }) => reserved === 0n))
          .toBe(true)
        return (await channelsOf(account.address)).reduce((sum, channel) => sum + channel.charged, 0n)
      }
      return {
        client,
        charged,
        async agreement() {
          const amount = await charged()
          expect(Usdc.parse((await client.spending()).charged)).toBe(amount)
          return amount
        },
        async settle() {
          const closed = await client.closeAll()
          const amount = await charged()
          expect(closed.reduce((sum, { finalAmount }) => sum + Usdc.parse(finalAmount), 0n)).toBe(amount)
          expect(await paidOut()).toBe(amount)
          expect(await client.spending()).toMatchObject({ charged: Usdc.format(amount), locked: '0' })
          return amount
        },
      }
    },
    async close() {
      await server.close()
      await ledger.close()
      await upstream.close()
      await chain.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
