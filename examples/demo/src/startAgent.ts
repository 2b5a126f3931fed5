/** `drain-mcp` as MCP clients start it, over stdin and stdout, and a client that shows what it calls. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LocalChain } from '@drain/consumer/testing'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import type { Hex } from 'viem'
import type { Progress } from './progress.ts'

export type AgentProcess = {
  /** Calls a tool, and shows it as an agent's log would. @throws Error with what the tool says. */
  call<result>(name: string, args?: Record<string, unknown>): Promise<result>
  close(): Promise<void>
}

export async function startAgent({
  chain,
  key,
  directoryUrl,
  folder,
  progress,
}: {
  chain: LocalChain
  key: Hex
  directoryUrl: string
  folder: string
  progress: Progress
}): Promise<AgentProcess> {
  const client = new Client({ name: 'drain-demo', version: '1.0.0' })
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [fileURLToPath(new URL('../node_modules/drain-mcp/dist/cli.js', import.meta.url))],
      stderr: 'ignore',
      env: {
        PATH: process.env.PATH ?? '',
        DRAIN_PRIVATE_KEY: key,
        DRAIN_CHAIN_ID: String(chain.chainId),
        DRAIN_RPC_URL: chain.rpcUrl,
        DRAIN_CONTRACT_ADDRESS: chain.deployment.contract,
        DRAIN_USDC_ADDRESS: chain.deployment.token,
        DRAIN_DIRECTORY_URL: directoryUrl,
        DRAIN_STATE_DIR: join(folder, 'state'),
      },
    }),
  )
  return {
    async call<result>(name: string, args: Record<string, unknown> = {}): Promise<result> {
      progress.say(`\n▸ ${name} ${JSON.stringify(args)}`)
      const onprogress = ({ message }: { message?: string | undefined }) => progress.say(`  … ${message}`)
      const answer = await client.callTool({ name, arguments: args }, { onprogress })
      const [content] = answer.content
      const text = content?.type === 'text' ? content.text : ''
      if (answer.isError) throw new Error(text)
      progress.say(text.replace(/^/gm, '  ').slice(0, 700))
      return answer.structuredContent as result
    },
    close: () => client.close(),
  }
}
