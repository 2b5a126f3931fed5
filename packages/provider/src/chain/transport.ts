/** How the provider reaches its chain: one of several nodes, which may be exchanged while it runs. */
import { DrainError } from '@drain/core'
import { BaseError, fallback, HttpRequestError, http, shouldThrow, TimeoutError, type Transport } from 'viem'
import { parseRpcUrls, type RpcUrlInput } from './rpcUrlOf.ts'
import { withoutUrls } from './withoutUrls.ts'

/** One node, and until when others are asked before it (milliseconds of `performance.now`), after it failed. */
type Node = {
  url: string
  hasFailed: boolean
  restsUntil: number
  /** The question which chain it is on, once it was asked. */
  chain?: Promise<void> | undefined
}

/** A request that waits longer is given up, and the next node asked. */
const defaultTimeoutMs = 5_000
/** Between two readings of a list that can change. */
const defaultRereadMs = 2_000
/** For how long a node that failed is asked last. Then one request tries it. */
const restMs = 30_000
const retryDelaysMs = [150, 300, 600]

/**
 * A transport of viem over the nodes of `input`, in that order. A node that can't be reached, hangs, is overloaded or refuses
 * for its rate limit is passed over for the next one, and asked last for half a minute. What a node says about the request
 * itself, such as that a call reverts, is the answer. One of another chain than `chainId` is passed over too. Errors never name the nodes: their URLs carry keys.
 *
 * Trap: nodes are not equally far. What one said a moment ago, another may not know yet.
 *
 * @example
 * ```ts
 * const transport = rpcTransport(['https://node.example/key', 'https://other.example/key'])
 * const client = createPublicClient({ chain: polygon, transport })
 * ```
 * @throws {DrainError} `rpc_missing`, `rpc_url_invalid`
 */
export function rpcTransport(input: RpcUrlInput, options: rpcTransport.Options = {}): Transport<'nodes'> {
  const { chainId, timeoutMs = defaultTimeoutMs, rereadMs = defaultRereadMs, log = () => {} } = options
  const read = () => {
    const urls = parseRpcUrls((typeof input === 'function' ? input() : input) ?? [])
    if (urls.length > 0) return urls
    throw new DrainError('rpc_missing', 'There is no URL of a node.', { action: 'Set rpcUrl.' })
  }
  let nodes = toNodes(readFirst(read))
  let readAt = performance.now()
  let isReadable = true
  /** By the order of the nodes: viem lets requests that are the same share an answer within one. */
  const inners = new Map<string, ReturnType<typeof connectTo>>()

  /** The nodes of now, which stay as they are for a request that began with them. */
  function current(): Node[] {
    if (typeof input !== 'function' || performance.now() - readAt < rereadMs) return nodes
    readAt = performance.now()
    try {
      const urls = read()
      if (urls.join('\n') !== nodes.map(({ url }) => url).join('\n')) {
        nodes = toNodes(urls, nodes)
        inners.clear()
        log(`the nodes were exchanged: ${urls.length} now`)
      }
      isReadable = true
    } catch {
      if (isReadable) log('the URLs of the nodes cannot be read; those known are kept')
      isReadable = false
    }
    return nodes
  }

  function tell(node: Node, all: readonly Node[], error: Error | undefined): void {
    if (error && isFailure(error)) {
      const place = `node ${all.indexOf(node) + 1} of ${all.length}`
      if (!node.hasFailed && all.length > 1)
        log(`${place} fails (${problemOf(error)}); others are asked first`)
      node.hasFailed = true
      node.restsUntil = performance.now() + restMs
      node.chain = undefined
    } else {
      // Also what is wrong with a request is an answer.
      if (node.hasFailed && all.length > 1)
        log(`node ${all.indexOf(node) + 1} of ${all.length} answers again`)
      node.hasFailed = false
      node.restsUntil = 0
    }
  }

  /** Asks a node for its chain before anything else. Where there is no other node, and never will be, nothing is gained by it. */
  function onItsChain(node: Node, transport: Transport): Transport {
    if (chainId === undefined || (nodes.length === 1 && typeof input !== 'function')) return transport
    return (parameters) => {
      const inner = transport(parameters)
      const ask = async () => {
        if (Number(await inner.request({ method: 'eth_chainId' })) !== chainId) throw new WrongChainError()
      }
      const request: typeof inner.request = async (args, requestOptions) => {
        if (!node.chain) {
          const asked = ask()
          node.chain = asked
          // Whatever it answered, it is asked again.
          asked.catch(() => {
            if (node.chain === asked) node.chain = undefined
          })
        }
        await node.chain
        return inner.request(args, requestOptions)
      }
      return { ...inner, request }
    }
  }

  function connectTo(all: readonly Node[], ordered: readonly Node[]) {
    const inner = fallback(
      ordered.map((node) => onItsChain(node, http(node.url, { timeout: timeoutMs }))),
      { retryCount: 0 },
    )({})
    inner.value?.onResponse((response) => {
      const node = all.find(({ url }) => url === response.transport.value?.url)
      if (node) tell(node, all, response.status === 'error' ? response.error : undefined)
    })
    return inner
  }

  /** viem's transport over the nodes in the order of this moment. */
  function innerOf(all: readonly Node[]) {
    const ordered = inOrder(all)
    // A request that began before an exchange is not to put its nodes back.
    if (all !== nodes) return connectTo(all, ordered)
    const key = ordered.map((node) => all.indexOf(node)).join()
    const inner = inners.get(key) ?? connectTo(all, ordered)
    inners.set(key, inner)
    return inner
  }

  const request: ReturnType<Transport>['request'] = async (args, requestOptions) => {
    const all = current()
    const beganAt = performance.now()
    const delays = retryDelaysMs.slice(0, requestOptions?.retryCount ?? retryDelaysMs.length)
    for (;;) {
      try {
        return await innerOf(all).request(args, { ...requestOptions, retryCount: 0 })
      } catch (error) {
        const delay = delays.shift()
        // Whoever has waited that long for nodes that hang is told so.
        const isLate = performance.now() - beganAt >= timeoutMs
        if (delay === undefined || isLate || requestOptions?.signal?.aborted || !isPassing(error))
          throw withoutUrls(
            error,
            all.map(({ url }) => url),
          )
        await new Promise((resolve) => setTimeout(resolve, delay))
      }
    }
  }

  return () => ({ config: { key: 'nodes', name: 'Nodes', type: 'nodes', request, retryCount: 0 }, request })
}

export declare namespace rpcTransport {
  type Options = {
    /** The chain that the nodes must be on, where there may be several. Default: any. */
    chainId?: number | undefined
    /** After how many milliseconds a node that does not answer is given up. Default 5,000. */
    timeoutMs?: number | undefined
    /** How often a list that can change is read, in milliseconds. Default 2,000. */
    rereadMs?: number | undefined
    /** Takes what the operator should know: that a node fails, that the list changed. Never a URL. */
    log?: ((message: string) => void) | undefined
  }
}

class WrongChainError extends BaseError {
  constructor() {
    super('The node is on another chain.', { name: 'WrongChainError' })
  }
}

/** What an operator's function throws may quote what it read. */
function readFirst(read: () => string[]): string[] {
  try {
    return read()
  } catch (error) {
    if (error instanceof DrainError) throw error
    throw new DrainError('rpc_missing', 'The URLs of the nodes cannot be read.', {
      action: 'Check the function or file that rpcUrl comes from.',
    })
  }
}

function toNodes(urls: readonly string[], known: readonly Node[] = []): Node[] {
  return urls.map((url) => known.find((node) => node.url === url) ?? { url, hasFailed: false, restsUntil: 0 })
}

/** Those that rest last. A node whose rest is over gets this request, and the others wait until it has answered. */
function inOrder(nodes: readonly Node[]): Node[] {
  const now = performance.now()
  const resting = nodes.filter(({ restsUntil }) => restsUntil > now)
  const ready = nodes.filter(({ restsUntil }) => restsUntil <= now)
  for (const node of ready) if (node.hasFailed) node.restsUntil = now + restMs
  return [...ready, ...resting]
}

/** Whether the node is to blame: it did not answer, refused for its limits or the key, or broke. */
function isFailure(error: Error): boolean {
  if (error.name === 'AbortError') return false
  if (!(error instanceof BaseError)) return true
  const status = statusOf(error)
  if (status !== undefined) return status !== 400 && status !== 413
  return hasCause(error, HttpRequestError, TimeoutError, WrongChainError) || isLimit(error)
}

/** Whether the same request may succeed a moment later. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof BaseError) || shouldThrow(error)) return false
  const status = statusOf(error)
  if (status !== undefined) return [403, 408, 429].includes(status) || status >= 500
  return hasCause(error, HttpRequestError) || isLimit(error) || isBroken(error)
}

/** How nodes refuse for their limits with status 200: by the standard, Alchemy's way, QuickNode's way. */
const isLimit = (error: BaseError) => [-32_005, 429, -32_007].includes(codeOf(error) ?? 0)
const isBroken = (error: BaseError) => [-32_603, -1].includes(codeOf(error) ?? 0)

function codeOf(error: BaseError): number | undefined {
  return 'code' in error && typeof error.code === 'number' ? error.code : undefined
}

/** The HTTP status of what failed, also where it came with an error of the protocol. */
function statusOf(error: BaseError): number | undefined {
  const cause = error.walk((link) => typeof (link as { status?: unknown } | null)?.status === 'number')
  return (cause as { status?: number } | null)?.status
}

function hasCause(error: BaseError, ...classes: (new (...args: never[]) => Error)[]): boolean {
  return Boolean(error.walk((link) => classes.some((type) => link instanceof type)))
}

function problemOf(error: Error): string {
  if (!(error instanceof BaseError)) return 'no valid answer'
  if (hasCause(error, TimeoutError)) return 'no answer in time'
  if (hasCause(error, WrongChainError)) return 'another chain'
  const status = statusOf(error)
  if (status === 429 || isLimit(error)) return 'rate limit'
  return status === undefined ? 'out of reach' : `status ${status}`
}
