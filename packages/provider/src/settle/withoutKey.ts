/** A process that serves without the provider's key: whoever has it does what takes it. */
import { type Deployment, DrainError } from '@drain/core'
import { type Address, getAddress, type Hex, isAddress, type LocalAccount } from 'viem'
import { toAccount } from 'viem/accounts'
import type { Ledger } from '../ledger/Ledger.ts'
import { type Closings, finalAmountOf } from './Closings.ts'
import type { Settlement } from './Settlement.ts'

/** The provider's address. @throws {DrainError} `account_invalid`: what it is may be a key, so it is not repeated. */
export function addressOf(account: LocalAccount | Address): Address {
  if (typeof account !== 'string') return account.address
  if (isAddress(account, { strict: false })) return getAddress(account)
  throw new DrainError('account_invalid', 'The account is neither an account of viem nor an address.', {
    action: 'Pass loadKey() where the key is, and the address, 0x and 40 digits, where it is not.',
  })
}

/** That something takes a key which isn't here. `what` begins a sentence. */
export function keyElsewhere(what: string, action: string): DrainError {
  return new DrainError(
    'key_elsewhere',
    `${what} takes the provider's key, which this process does not have.`,
    {
      action,
    },
  )
}

/** An account that signs nothing. */
export function withoutKey(address: Address): LocalAccount {
  const refuse = async (): Promise<never> => {
    throw keyElsewhere('Signing', 'Run `drain-provider settle`.')
  }
  return toAccount({ address, signMessage: refuse, signTransaction: refuse, signTypedData: refuse })
}

/** How often it is looked whether an end that was asked for has come. */
const lookAgainMs = 250

/**
 * A settlement that asks whoever has the key for the ends of channels, and leaves claims to it. `close` throws `settler_away` when
 * nobody has answered for `patienceMs` and no end of the channel is known from before.
 */
export function createAskingSettlement(
  plain: Settlement,
  options: {
    deployment: Deployment.Deployment
    ledger: Pick<Ledger, 'get'>
    closings: Pick<Closings, 'get' | 'ask' | 'isAsked'>
    patienceMs: number
    log: (message: string) => void
  },
): Settlement {
  const { deployment, ledger, closings, patienceMs, log } = options

  async function refuse(): Promise<never> {
    throw keyElsewhere('Claiming', 'Run `drain-provider settle`, for less with a lower --threshold.')
  }

  async function close(channelId: Hex) {
    const state = await ledger.get(channelId)
    const finalAmount = state && finalAmountOf(state, deployment)
    if (finalAmount === undefined) throw new DrainError('not_finalized', 'The final amount is not fixed yet.')
    const told = async () => {
      const closing = await closings.get(channelId)
      return closing?.finalAmount === finalAmount ? closing : undefined
    }
    const before = await told()
    if (before && state?.status === 'closed') return before
    await closings.ask(channelId)
    const until = performance.now() + patienceMs
    while ((await closings.isAsked(channelId)) && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs))
    const closing = await told()
    if (closing) return closing
    log(`the end of channel ${channelId} was not signed: does \`drain-provider settle\` run?`)
    throw new DrainError('settler_away', 'Whoever has the key has not signed the end of the channel.')
  }

  return { ...plain, close, claim: refuse, claimMany: refuse, claimAgain: refuse, claimAll: refuse }
}
