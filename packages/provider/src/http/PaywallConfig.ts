import type { Deployment, Pricing } from '@drain/core'
import type { Secp256k1Name } from '@drain/keys'
import type { Address, Hex, LocalAccount } from 'viem'
import type { Confirmations } from '../chain/ChannelReader.ts'
import type { RpcUrlInput } from '../chain/rpcUrlOf.ts'
import type { LedgerOpener } from '../ledger/Ledger.ts'
import type { LogInput } from '../observe/Log.ts'
import type { RoundsInput } from '../settle/rounds.ts'
import type { StreamSettings } from '../stream/StreamSettings.ts'
import type * as Terms from '../verify/Terms.ts'
import type { AdminToken } from './admin.ts'
import type { RouteInput } from './discovery.ts'
import type { RelayInput } from './openRelay.ts'
import type { LimitsInput } from './rateLimits.ts'
import type { SchemeFactory } from './Scheme.ts'

/** How a provider is set up. */
export type PaywallConfig = {
  /**
   * The provider's account: channels pay it, it signs closes and sends settlements. From a keystore or the environment with
   * `loadKey()`; or a viem account of your own that signs elsewhere, such as in a KMS.
   *
   * Or only its address, with `settle: false`: then whoever settles on the same ledger signs closes too, such as
   * `drain-provider settle` on another machine, and this process can't send anything.
   */
  account: LocalAccount | Address
  chainId: number
  /**
   * A node of the chain, or several: the others are asked while the first fails. A function is asked again every few seconds, so
   * that nodes can be exchanged without a restart. By default a public one, which limits its use.
   */
  rpcUrl?: RpcUrlInput | undefined
  /** A contract of your own, or one that isn't the chain's default; by its addresses, or as a whole. */
  deployment?: Deployment.Deployment | undefined
  contractAddress?: Hex | undefined
  usdcAddress?: Hex | undefined
  /** Where vouchers and charges are kept: `sqliteLedger('drain.db')`, or `memoryLedger()` for tests. */
  ledger: LedgerOpener
  /** Where consumers reach the provider, when a proxy stands in front; the requests' own origin by default. */
  publicUrl?: string | undefined
  /** Shown in `/v1/pricing`. */
  name?: string | undefined
  /** What is sold, for `/v1/pricing` and `/v1/models`. */
  models?: Record<string, Pricing.Pricing> | undefined
  /**
   * What is sold where, for `/openapi.json` and `/llms.txt`; the chat route of `models` by default. An empty list leaves both paths
   * to the application.
   */
  routes?: readonly RouteInput[] | undefined
  terms?: Terms.TermsInput | undefined
  /** Answer of `/v1/docs`: what an agent that knows nothing else needs to use the service. Appended to the protocol's part. */
  docs?: string | undefined
  /**
   * Admin routes exist only with a token. A function is asked at every request, so that the token can be exchanged without a
   * restart; while it says none, there are no admin routes.
   */
  adminToken?: AdminToken | undefined
  /** A payout below this (USDC) is not worth a transaction; the consumer closes instead. Default 0.01. */
  minPayout?: string | undefined
  /**
   * Claims and settles by itself, so that what was charged is not lost at a channel's expiry, and ends the channels of servers on the
   * same ledger that have no key. `false`: this process doesn't, another one on the same ledger must.
   */
  settle?: RoundsInput | false | undefined
  /**
   * What the chain's own coin costs, in USDC, to tell what gas costs: for ends of channels, which are settled with `settle: false` too,
   * and for rounds that name none of their own. Default: that of `relay`, else a high price.
   */
  nativePrice?: string | undefined
  /**
   * Wei per gas that claims and closes may pay: while gas costs more, they wait. Only for channels that are about to end it may be
   * more, up to half of what would be lost. Default 500 gwei. What is relayed has a limit of its own.
   */
  maxGasPrice?: bigint | undefined
  /**
   * Takes what the operator should know: a pino logger, or a function that gets it as text. Default: JSON lines on stderr, at the
   * level of `LOG_LEVEL` (`info`).
   */
  log?: LogInput | undefined
  /** Ways to pay beside the headers, such as those of `@drain/mpp/server`. A 402 offers all of them. */
  schemes?: readonly SchemeFactory[] | undefined
  /** How much one channel may ask for. */
  limits?: LimitsInput | undefined
  /** Opens channels for consumers without gas (`POST /v1/open`). Off by default: it spends the provider's gas. */
  relay?: RelayInput | undefined
  /** How long `close` lets requests that run go on, in milliseconds. Default 30,000. */
  graceMs?: number | undefined
  confirmations?: Confirmations | undefined
  /** Blocks on top of one that can't go away any more. Default: 64, and none on a chain of one machine. */
  finality?: bigint | undefined
  /** What is served on a channel before its open is final, in USDC: as high as its vouchers may be so long. Default 10. */
  exposure?: string | undefined
  /** The library that recovers signers; the fastest that loads, by default. */
  secp256k1?: Secp256k1Name | undefined
  /** Metered streams: how long they wait for vouchers, and how they are kept alive. */
  streams?: Partial<StreamSettings> | undefined
  /** Requests with an `Idempotency-Key`: the longest body they may have (default 1 MiB), the longest answer kept (256 KiB). */
  idempotency?: { maxBodyBytes?: number | undefined; maxAnswerBytes?: number | undefined } | undefined
  /** Answers close requests without a signature, as older clients send them. Trap: strangers can freeze channels. */
  allowUnsignedClose?: boolean | undefined
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
}
