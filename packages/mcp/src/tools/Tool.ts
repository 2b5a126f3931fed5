/** One tool: what it takes, what it gives, and what it does. */
import type { CallToolResult, McpServer, ToolAnnotations } from '@modelcontextprotocol/server'
import type { z } from 'zod'
import type { Agent } from '../createAgent.ts'
import { type Asker, refusalOf } from '../refusals.ts'
import { createProgress, type Progress } from './progress.ts'

type Content = CallToolResult['content'][number]

export type Call = {
  agent: Agent
  signal: AbortSignal
  progress: Progress
}

export type Tool<input extends z.ZodObject = z.ZodObject, output extends z.ZodObject = z.ZodObject> = {
  name: string
  title: string
  description: string
  input: input
  output: output
  annotations: ToolAnnotations
  run(given: z.output<input>, call: Call): Promise<Answer<z.input<output>>>
}

export type Answer<data> = {
  /** For reading. */
  text: string
  /** The same for programs. */
  data: data
  /** Beside the text: images, files. */
  content?: Content[]
}

/** Checks that what a tool does fits what it says of itself. */
export function defineTool<input extends z.ZodObject, output extends z.ZodObject>(
  tool: Tool<input, output>,
): Tool {
  return tool as unknown as Tool
}

/** Adds a tool to a server. What it throws becomes an answer that says what to do next. */
export function register(server: McpServer, agent: Agent, tool: Tool): void {
  const { name, title, description, input, output, annotations, run } = tool
  const config = { title, description, inputSchema: input, outputSchema: output, annotations }
  server.registerTool(name, config, async (given, ctx): Promise<CallToolResult> => {
    const progress = createProgress(ctx)
    try {
      const { text, data, content = [] } = await run(given, { agent, signal: ctx.mcpReq.signal, progress })
      return { content: [{ type: 'text', text }, ...content], structuredContent: data }
    } catch (error) {
      return failed(error, await askerOf(agent))
    } finally {
      progress.end()
    }
  })
}

function failed(error: unknown, asker: Asker): CallToolResult {
  const { code, message, next } = refusalOf(error, asker)
  return {
    isError: true,
    content: [{ type: 'text', text: `Refused (${code}): ${message}\nNext: ${next}` }],
    _meta: { 'drain/error': { code, message, next } },
  }
}

/** Where to send money to, unknown without a key; and what is not to be told. */
export async function askerOf({ purse, settings }: Agent): Promise<Asker> {
  const made = await purse().catch(() => undefined)
  return { wallet: made?.wallet.account.address, rpcUrl: settings.rpcUrl }
}
