/** The reference provider, a directory that lists it, and agents of their own wallets: all on a private chain. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { erc20Abi, type Hex, toHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { readConfig } from '../../../examples/ai-provider/src/config.ts'
import { startServer } from '../../../examples/ai-provider/src/server.ts'
import { startDirectory } from '../../../examples/providers/src/directory.ts'
import { nodeArguments } from '../../provider/test/sourceProcess.ts'
import { startMarketplace } from './marketplace.ts'

type Env = Record<string, string>

export type Market = {
  chain: LocalChain
  /** The reference provider, which sells `drain-local`. */
  provider: { url: string; address: Hex }
  directory: { url: string; close(): Promise<void> }
  /** A wallet with 10 USDC and gas, and the environment of a server that has it. */
  wallet(options?: { usdc?: string; gas?: bigint }): Promise<AgentWallet>
  /** An MCP client whose server runs as a process of its own, over stdio. */
  connect(env: Env): Promise<Session>
  close(): Promise<void>
}

export type AgentWallet = {
  address: Hex
  key: Hex
  env: Env
  /** USDC on chain, base units. */
  usdc(): Promise<bigint>
}

export type Session = {
  client: Client
  /** Calls a tool that does what it is asked for. `progress` gathers what is told meanwhile. */
  call(name: string, args?: Record<string, unknown>, options?: { signal?: AbortSignal }): Promise<Result>
  /** Calls a tool that refuses, and returns what it says. */
  refusal(name: string, args?: Record<string, unknown>): Promise<string>
  progress: string[]
  /** What the server has written to stderr. */
  stderr(): string
  pid: number | null
  close(): Promise<void>
}

export type Result = {
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tools give objects of many shapes
  data: any
  content: { type: string }[]
}

/** @param kind What lists the provider: the examples’ static directory, or the marketplace. */
export async function startMarket(kind: 'static' | 'marketplace' = 'static'): Promise<Market> {
  const chain = await startLocalChain()
  const folder = mkdtempSync(join(tmpdir(), 'drain-mcp-'))
  const { deployment, accounts, publicClient } = chain
  const seller = accounts[1]
  const server = await startServer(
    readConfig({
      PROVIDER_PRIVATE_KEY: toHex(seller.getHdKey().privateKey ?? 0),
      CHAIN_ID: String(chain.chainId),
      RPC_URL: chain.rpcUrl,
      CONTRACT_ADDRESS: deployment.contract,
      USDC_ADDRESS: deployment.token,
      RELAY_COIN_PRICE: '0.25',
      MIN_PAYOUT: '0.000001',
      PORT: '0',
      DATABASE: join(folder, 'provider.db'),
    }),
    () => {},
  )
  const listed = { id: 'reference', description: 'Chats.' }
  const directory =
    kind === 'static'
      ? await startDirectory({ providers: [{ url: server.url, category: 'llm', ...listed }] })
      : await startMarketplace(chain, { apiUrl: server.url, account: seller, ...listed })
  const sessions: Session[] = []
  let wallets = 0

  async function connect(env: Env): Promise<Session> {
    const [script, stderr, progress] = [
      new URL('../src/cli/index.ts', import.meta.url),
      [] as string[],
      [] as string[],
    ]
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: nodeArguments(script),
      // What the first server compiles the next ones needn't.
      env: { PATH: process.env.PATH ?? '', NODE_COMPILE_CACHE: join(folder, 'compiled'), ...env },
      stderr: 'pipe',
    })
    transport.stderr?.on('data', (chunk) => stderr.push(String(chunk)))
    const client = new Client({ name: 'test', version: '1.0.0' })
    await client.connect(transport)

    async function callTool(
      name: string,
      args: Record<string, unknown> = {},
      { signal }: { signal?: AbortSignal } = {},
    ): Promise<Result & { isError: boolean }> {
      const { content, structuredContent, isError } = await client.callTool(
        { name, arguments: args },
        {
          timeout: 120_000,
          resetTimeoutOnProgress: true,
          onprogress: ({ message }) => progress.push(message ?? ''),
          ...(signal && { signal }),
        },
      )
      const texts = content.flatMap((one) => (one.type === 'text' ? [one.text] : []))
      return { isError: isError === true, text: texts.join('\n'), data: structuredContent, content }
    }

    const session: Session = {
      client,
      progress,
      stderr: () => stderr.join(''),
      pid: transport.pid,
      async call(name, args, options) {
        const { isError, ...result } = await callTool(name, args, options)
        if (isError) throw new Error(`${name}: ${result.text}`)
        return result
      },
      async refusal(name, args) {
        const { isError, text } = await callTool(name, args)
        if (!isError) throw new Error(`${name} did what it was asked for: ${text}`)
        return text
      },
      close: () => client.close(),
    }
    sessions.push(session)
    return session
  }

  return {
    chain,
    provider: { url: server.url, address: seller.address },
    directory,
    async wallet({ usdc = '10', gas = 10n ** 18n } = {}) {
      const key = generatePrivateKey()
      const { address } = privateKeyToAccount(key)
      await chain.testClient.setBalance({ address, value: gas })
      if (usdc !== '0') await chain.fund(address, usdc)
      wallets += 1
      return {
        address,
        key,
        env: {
          DRAIN_PRIVATE_KEY: key,
          DRAIN_CHAIN_ID: String(chain.chainId),
          DRAIN_RPC_URL: chain.rpcUrl,
          DRAIN_CONTRACT_ADDRESS: deployment.contract,
          DRAIN_USDC_ADDRESS: deployment.token,
          DRAIN_DIRECTORY_URL: directory.url,
          DRAIN_STATE_DIR: join(folder, `wallet-${wallets}`),
        },
        usdc: () =>
          publicClient.readContract({
            address: deployment.token,
            abi: erc20Abi,
            functionName: 'balanceOf',
            args: [address],
          }),
      }
    },
    connect,
    async close() {
      await Promise.all(sessions.map((session) => session.close().catch(() => {})))
      await directory.close()
      await server.close()
      await chain.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
