/** Whether the node is the right one and answers, found out beside the requests. */
import { type Deployment, DrainError } from '@drain/core'
import type { PublicClient } from 'viem'
import { ChainUnavailableError, localChains } from '../chain/ChannelReader.ts'

export type ChainProblem = 'wrong_chain' | 'no_contract' | 'chain_unreachable' | 'chain_stuck'

export type ChainCheck = {
  /**
   * Asks the node now. Concurrent calls share one question.
   * @throws {DrainError} `wrong_chain`, `no_contract`
   * @throws {ChainUnavailableError}
   */
  check(): Promise<void>
  /**
   * Resolves once the node was seen to be on the configured chain and to have the contract; asks it only until then.
   * @throws as `check`.
   */
  identified(): Promise<void>
  /** What is wrong by the latest check, which is never much older than a minute. */
  problem(): Promise<ChainProblem | undefined>
  /** The newest block by the latest check, in the same way; `undefined` while no node says. */
  head(): Promise<bigint | undefined>
  /** Checks at an interval, from the first call on. */
  watch(): void
  stop(): void
}

const intervalMs = 15_000
/** A node that has not answered for this long is out of reach. */
const patienceMs = 60_000
/** How long somebody who asks for the health waits for the node. */
const answerMs = 3_000
/** A head older than this on a chain that makes blocks by itself: the node has lost its peers. Seconds. */
const stuckAfter = 600n

export function createChainCheck(options: {
  client: Pick<PublicClient, 'getChainId' | 'getCode' | 'getBlock'>
  deployment: Deployment.Deployment
}): ChainCheck {
  const { client, deployment } = options
  const makesBlocks = !localChains.includes(deployment.chainId)
  let running: Promise<void> | undefined
  let isIdentified = false
  let misconfigured: DrainError | undefined
  let succeededAt = Number.NEGATIVE_INFINITY
  let isStuck = false
  let headNumber: bigint | undefined
  let timer: ReturnType<typeof setInterval> | undefined

  async function identify(): Promise<void> {
    const { chainId, contract } = deployment
    const [actual, code] = await Promise.all([client.getChainId(), client.getCode({ address: contract })])
    misconfigured = undefined
    if (actual !== chainId) {
      misconfigured = new DrainError(
        'wrong_chain',
        `The node is on chain ${actual}, and the provider is set up for chain ${chainId}.`,
        { action: 'Correct chainId or rpcUrl.' },
      )
    } else if (!code) {
      misconfigured = new DrainError(
        'no_contract',
        `There is no contract at ${contract} on chain ${chainId}.`,
        {
          action: 'Deploy it, or correct contractAddress.',
        },
      )
    }
    isIdentified = !misconfigured
  }

  async function ask(): Promise<void> {
    try {
      // Every time: behind one address there may be another node tomorrow.
      const [head] = await Promise.all([client.getBlock({ blockTag: 'latest' }), identify()])
      succeededAt = performance.now()
      headNumber = misconfigured ? undefined : head.number
      isStuck = makesBlocks && BigInt(Math.floor(Date.now() / 1_000)) - head.timestamp > stuckAfter
    } catch (error) {
      throw new ChainUnavailableError(error)
    }
    if (misconfigured) throw misconfigured
  }

  function check(): Promise<void> {
    running ??= ask().finally(() => {
      running = undefined
    })
    return running
  }

  /** Whether a check has succeeded lately; checks if not. */
  async function lately(): Promise<boolean> {
    const isLate = () => performance.now() - succeededAt > patienceMs
    if (!isLate()) return true
    let impatience: ReturnType<typeof setTimeout> | undefined
    const waited = new Promise((resolve) => {
      impatience = setTimeout(resolve, answerMs)
    })
    await Promise.race([check().catch(() => {}), waited])
    clearTimeout(impatience)
    return !isLate()
  }

  return {
    check,
    async identified() {
      if (!isIdentified) await check()
    },
    async problem() {
      const isKnown = await lately()
      if (misconfigured) return misconfigured.code as ChainProblem
      if (!isKnown) return 'chain_unreachable'
      return isStuck ? 'chain_stuck' : undefined
    },
    head: async () => ((await lately()) ? headNumber : undefined),
    watch() {
      if (timer) return
      timer = setInterval(() => void check().catch(() => {}), intervalMs)
      if (typeof timer === 'object') timer.unref()
    },
    stop() {
      clearInterval(timer)
    },
  }
}
