/** How a program of the OpenAI Agents SDK starts the server. */
import type { Entry } from './configFile.ts'
import { isShowable } from './entrySettings.ts'

/** Opening a channel waits for the chain, and a first start for npm: the SDK's own five seconds are too short. */
const patience = 300

/** What can't be shown, and a plain key, is taken from the program's own environment. */
export function agentsSnippets({ command, args, env }: Entry, hasPlainKey: boolean): string {
  const own = [
    ...(hasPlainKey ? ['DRAIN_PRIVATE_KEY'] : []),
    ...Object.keys(env).filter((name) => !isShowable(name)),
  ]
  const shown = Object.entries(env).filter(([name]) => isShowable(name))
  const lines = (take: (name: string) => string) => [
    ...shown.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)},`),
    ...own.map((name) => `${JSON.stringify(name)}: ${take(name)},`),
  ]
  const block = (indent: string, step: string, take: (name: string) => string) => {
    const all = lines(take)
    if (all.length === 0) return '{}'
    return `{\n${all.map((line) => `${indent}${step}${line}\n`).join('')}${indent}}`
  }
  const quoted = args.map((one) => JSON.stringify(one)).join(', ')
  return `# Python: pip install openai-agents
import asyncio
import os

from agents import Agent, Runner
from agents.mcp import MCPServerStdio


async def main():
    async with MCPServerStdio(
        name="drain",
        params={
            "command": ${JSON.stringify(command)},
            "args": [${quoted}],
            "env": ${block('            ', '    ', (name) => `os.environ["${name}"]`)},
        },
        client_session_timeout_seconds=${patience},
    ) as drain:
        agent = Agent(name="Assistant", instructions="Use the drain tools.", mcp_servers=[drain])
        result = await Runner.run(agent, "Which AI providers can you pay?")
        print(result.final_output)


asyncio.run(main())

// TypeScript: npm install @openai/agents
import { Agent, MCPServerStdio, run } from '@openai/agents'

const drain = new MCPServerStdio({
  name: 'drain',
  command: ${JSON.stringify(command)},
  args: [${quoted}],
  env: ${block('  ', '  ', (name) => `process.env.${name} ?? ''`)},
  clientSessionTimeoutSeconds: ${patience},
  timeout: ${patience * 1_000},
})
await drain.connect()
try {
  const agent = new Agent({ name: 'Assistant', instructions: 'Use the drain tools.', mcpServers: [drain] })
  const result = await run(agent, 'Which AI providers can you pay?')
  console.log(result.finalOutput)
} finally {
  await drain.close()
}
`
}
