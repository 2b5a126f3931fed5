/** What the routes of skills answer, for the API's documentation. */
import { z } from 'zod'
import { protocols } from '../Provider.ts'
import { skillDefinitionSchema } from './SkillDefinition.ts'

const ways = z.enum([...protocols, 'mixed'])
const status = z.enum(['draft', 'published', 'withdrawn', 'removed'])
const usdc = z.string().nullable().describe('Decimal USDC; null where a price isn’t known.')

export const summarySchema = z.object({
  ...{
    id: z.string(),
    title: z.string(),
    summary: z.string(),
    category: z.string(),
    tags: z.array(z.string()),
  },
  ...{ author: z.string(), status, steps: z.number(), providers: z.array(z.string()), protocol: ways },
  ...{ cost: usdc, updatedAt: z.string() },
})

export const savedSchema = z.object({
  ...{ id: z.string(), author: z.string(), status, definition: skillDefinitionSchema },
  ...{ updatedAt: z.string(), url: z.string() },
})

const cost = z.object({
  ...{ currency: z.literal('USDC'), total: usdc, note: z.string() },
  steps: z.array(
    z.object({
      ...{ step: z.string(), provider: z.string(), model: z.string().nullable() },
      ...{ usdc, note: z.string() },
    }),
  ),
})

const execution = z.object({
  instructions: z.string().describe('For an agent to follow, with the tools of drain-mcp.'),
  tools_needed: z.array(z.string()),
  protocol: ways,
  calls: z
    .array(
      z.object({
        tool: z.string(),
        arguments: z.record(z.string(), z.unknown()).describe('With placeholders.'),
        keep: z.object({ field: z.string(), as: z.string() }).optional(),
      }),
    )
    .describe('The same, call by call.'),
})

const warnings = z.array(z.string())

export const describedSchema = z.object({
  ...{ id: z.string(), author: z.string(), status, createdAt: z.string(), updatedAt: z.string() },
  definition: skillDefinitionSchema,
  providers: z.array(
    z.object({
      ...{ id: z.string(), name: z.string().nullable(), apiUrl: z.string().nullable() },
      protocol: z.enum(protocols).nullable(),
      status: z.enum(['unknown', 'online', 'degraded', 'offline', 'not listed']),
      ...{ score: z.number().nullable(), latencyMs: z.number().nullable() },
    }),
  ),
  ...{ cost, execution, warnings },
})

export const validatedSchema = z.union([
  z.object({ valid: z.literal(true), cost, execution, warnings }),
  z.object({
    valid: z.literal(false),
    problems: z.array(z.object({ field: z.string(), problem: z.string() })),
  }),
])
