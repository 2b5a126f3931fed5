import { Deployment, DrainError } from '@drain/core'
import {
  type Account,
  type Address,
  type Chain,
  type Client,
  defineChain,
  type Hash,
  type Hex,
  type LocalAccount,
} from 'viem'
import { parseAccount } from 'viem/utils'

/** What every action needs to know. */
export type ReadParameters = {
  /** The contract and its token: from `Deployment.find` or `Deployment.from`, never from a provider. */
  deployment: Deployment.Deployment
}

/** What actions need that sign. */
export type SignParameters = ReadParameters & {
  /** Who signs; the client's account by default. */
  account?: Account | Address | undefined
}

/**
 * A session key: a second key that may sign the vouchers of one channel, so that no wallet has to be asked.
 *
 * Trap: it is worth the channel's deposit to whoever has it.
 */
export type Session = {
  account: LocalAccount
  /** 128 bytes that prove the key's opening: `openChannel` and `signGaslessOpen` return them. */
  proof: Hex
}

/** What actions need that a session key can sign too. */
export type SessionParameters = SignParameters & {
  /** Signs in place of `account`. */
  session?: Session | undefined
  /**
   * Appends the session's proof. A provider needs it once per channel, before or with the first signature of the key; the
   * contract always, but the provider appends it for itself.
   */
  withProof?: boolean | undefined
}

/** What actions need that send a transaction. */
export type WriteParameters = SignParameters & {
  /** Reads and waits for the receipt where the wallet's own transport shouldn't. */
  publicClient?: Client | undefined
  /** How long to wait for the receipt, in milliseconds; three minutes by default. */
  timeout?: number | undefined
  /** Called before the wallet is asked to send: until then nothing can have been sent, whatever fails. Nothing is, where it rejects. */
  onSending?: (() => void | Promise<void>) | undefined
  /** Hears the transaction's hash once it is sent, before its receipt is waited for. */
  onSent?: ((hash: Hash) => void | Promise<void>) | undefined
}

/**
 * The account that acts.
 *
 * @throws {DrainError} `account_missing`
 */
export function accountOf(client: Client, account: Account | Address | undefined): Account {
  const given = account ?? client.account
  if (given) return parseAccount(given)
  throw new DrainError('account_missing', 'No account to act with.', {
    action: 'Pass `account`, or a client that has one.',
  })
}

/** The deployment's chain, which viem compares with the wallet's before it sends. */
export function chainOf(client: Client, deployment: Deployment.Deployment): Chain {
  if (client.chain?.id === deployment.chainId) return client.chain
  return plainChain(deployment.chainId)
}

/** A chain of which no more than its id is known, and a public node for those with live contracts. */
export function plainChain(id: number): Chain {
  const rpcUrl = Deployment.publicRpcUrls[id]
  return defineChain({
    id,
    name: `chain ${id}`,
    nativeCurrency: { name: 'native coin', symbol: 'coin', decimals: 18 },
    rpcUrls: { default: { http: rpcUrl ? [rpcUrl] : [] } },
    // Sets how often viem looks for a receipt: about as often as Polygon has blocks.
    blockTime: 2_000,
  })
}
