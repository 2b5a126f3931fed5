/** Funds on a private chain, for tests that count what was given. */
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import pino from 'pino'
import { type Address, parseEther } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createFunds, type Funds } from '../src/funds/createFunds.ts'
import type { FundSettings, Settings } from '../src/settings.ts'
import type { Database } from '../src/store/Database.ts'

export const gift = parseEther('0.1')
export const dollars = (amount: number) => BigInt(amount) * 1_000_000n

export type FundChain = Awaited<ReturnType<typeof startFundChain>>

export async function startFundChain() {
  const chain = await startLocalChain({ usdc: '0' })
  return {
    ...chain,
    /** A wallet of nobody else, with what is asked for. */
    async wallet({ coin = 0n, usdc = 0n }: { coin?: bigint; usdc?: bigint } = {}) {
      const account = privateKeyToAccount(generatePrivateKey())
      await chain.testClient.setBalance({ address: account.address, value: coin })
      if (usdc > 0n) await chain.fund(account.address, usdc)
      return account
    },
    coinOf: (address: Address) => chain.publicClient.getBalance({ address }),
    sentBy: (address: Address) => chain.publicClient.getTransactionCount({ address }),
  }
}

export type Giving = {
  funds: Funds
  /** The wallet that gives. */
  account: FundSettings['account']
  later(milliseconds: number): void
}

/** Funds of a wallet with 10 coins and 100 USDC, unless `account` is given. */
export async function openFunds(
  chain: LocalChain & Pick<FundChain, 'wallet'>,
  database: Database,
  changes: Partial<FundSettings> = {},
): Promise<Giving> {
  const account = changes.account ?? (await chain.wallet({ coin: parseEther('10'), usdc: dollars(100) }))
  let time = 1_800_000_000_000
  const funds = createFunds({
    settings: {
      chains: [{ deployment: chain.deployment, rpcUrl: chain.rpcUrl }],
      confirmations: 1,
      funds: {
        ...{ account, chainId: chain.chainId },
        gasStation: { gas: gift, leastUsdc: dollars(5), perDay: parseEther('1') },
        invites: { gas: parseEther('1'), usdc: dollars(50) },
        ...changes,
      },
    } as unknown as Settings,
    ...{ database, log: pino({ level: 'silent' }), now: () => time },
  })
  return {
    funds,
    account,
    later(milliseconds) {
      time += milliseconds
    },
  }
}
