/** Providers as this project makes them on a private chain, and servers that only look like one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { Pricing } from '@drain/core'
import { createPaywall, type Paywall, type PaywallConfig } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/node'
import { sqliteLedger } from '@drain/provider/sqlite'
import { createOutwardFetch } from '../net/outwardFetch.ts'
import type { ConnectionCheck, ConnectionTest, TestOptions } from './ConnectionTest.ts'
import { testConnection } from './testConnection.ts'

export type Listener = (req: IncomingMessage, res: ServerResponse) => unknown
/** Whether it has answered a request itself. */
type Change = (req: IncomingMessage, res: ServerResponse) => boolean

export type Setting = {
  chain: LocalChain
  /** A server that answers by hand; its URL. */
  listen(listener: Listener): Promise<string>
  paywall(options?: Partial<PaywallConfig>): Paywall
  /** A provider, below a path or not. What `change` answers, it answers instead. */
  provider(
    options?: Partial<PaywallConfig> & { prefix?: string; price?: Parameters<typeof paid>[1] },
    change?: Change,
  ): Promise<string>
  /** The connection test of a provider whose account is the chain's second. */
  run(apiUrl: string, changed?: Partial<TestOptions>): Promise<ConnectionTest>
  /** Stops all servers. */
  stop(): Promise<void>
  close(): Promise<void>
}

const models = {
  small: Pricing.perToken({ inputPer1k: '0.01', outputPer1k: '0.1' }),
  image: Pricing.perUnit('0.05', 'image'),
}

export const outward = createOutwardFetch({ allowLoopback: true })

export async function startSetting(): Promise<Setting> {
  const chain = await startLocalChain()
  const folder = mkdtempSync(join(tmpdir(), 'drain-directory-'))
  const running: (() => Promise<unknown>)[] = []
  let ledgers = 0

  async function listen(listener: Listener): Promise<string> {
    const server = createServer((req, res) => void listener(req, res))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    running.push(() => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  function paywall(options: Partial<PaywallConfig> = {}): Paywall {
    ledgers += 1
    const paywall = createPaywall({
      account: chain.accounts[1],
      chainId: chain.chainId,
      rpcUrl: chain.rpcUrl,
      contractAddress: chain.deployment.contract,
      usdcAddress: chain.deployment.token,
      ledger: sqliteLedger(join(folder, `${ledgers}.db`)),
      settle: false,
      log: () => {},
      name: 'Parrot',
      models,
      ...options,
    })
    running.push(() => paywall.close())
    return paywall
  }

  const stop = async () => {
    await Promise.all(running.splice(0).map((stop) => stop()))
  }

  return {
    chain,
    listen,
    paywall,
    provider({ prefix = '', price = '0.001', ...config } = {}, change = () => false) {
      const owner = paywall(config)
      const work = paid(owner, price, (_req, res) => res.end('Polly'))
      const all = endpoints(owner, (req, res) => {
        if (req.url === '/v1/chat/completions' && req.method === 'POST') return work(req, res)
        res.writeHead(404).end()
      })
      return listen((req, res) => {
        if (!req.url?.startsWith(prefix)) return res.writeHead(404).end()
        req.url = req.url.slice(prefix.length)
        if (!change(req, res)) all(req, res)
      })
    },
    run(apiUrl, changed = {}) {
      const providerAddress = chain.accounts[1].address
      // Nothing here is slow on purpose, but the machine may be.
      return testConnection({
        apiUrl,
        protocol: 'drain',
        outward,
        providerAddress,
        timeoutMs: 30_000,
        ...changed,
      })
    },
    stop,
    async close() {
      await stop()
      await chain.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Answers one route by hand. */
export function instead(
  path: string,
  answer: (res: ServerResponse, req: IncomingMessage) => unknown,
): Change {
  return (req, res) => {
    if (req.url !== path) return false
    answer(res, req)
    return true
  }
}

/** Writes as long as it is read. */
export function endless(res: ServerResponse, text: string): void {
  const more = () => {
    while (!res.destroyed && res.write(text.repeat(65_536)));
  }
  res.on('drain', more)
  more()
}

export const failed = (checks: readonly ConnectionCheck[]) =>
  checks.filter(({ passed }) => !passed).map(({ name }) => name)

export const detailOf = (checks: readonly ConnectionCheck[], name: string) =>
  checks.find((check) => check.name === name)?.detail ?? ''

/** Whether every detail may stand on a page as it is. */
export const isClean = (checks: readonly ConnectionCheck[]) =>
  checks.every(
    ({ detail }) =>
      detail.length <= 500 && !/[\p{Cc}\u202e\u2066\u200b]/u.test(detail) && !/(.)\1{200}/.test(detail),
  )
