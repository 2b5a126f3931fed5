/** The API's description, made of the schemas that check what comes in. */
import { z } from 'zod'
import type { OpenApi, OpenApiOperation } from '../web/PageData.ts'
import type { Route } from './Route.ts'

type Schema = { properties?: Record<string, object>; required?: string[] }

/** An OpenAPI 3.1 document. */
export function openApi(
  routes: readonly Route[],
  options: { origin: string; version: string },
): OpenApi & Record<string, unknown> {
  const paths: OpenApi['paths'] = {}
  for (const route of routes) {
    const operations = paths[route.path] ?? {}
    paths[route.path] = operations
    operations[route.method] = operationOf(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'DRAIN directory',
      version: options.version,
      description: 'Where agents and people find providers that are paid through DRAIN channels or MPP.',
    },
    servers: [{ url: options.origin }],
    components: { securitySchemes: { operator: { type: 'http', scheme: 'bearer' } } },
    paths,
  }
}

function operationOf(route: Route): OpenApiOperation {
  const { method, path, summary, description, tag, access, params, query, body } = route
  const required = {
    required: true,
    content: body && { 'application/json': { schema: schemaOf(body, 'input') } },
  }
  const more = { operationId: nameOf(method, path), ...(access && { security: [{ operator: [] }] }) }
  return {
    ...more,
    summary,
    tags: [tag],
    ...(description && { description }),
    parameters: [...parametersOf(params, 'path'), ...parametersOf(query, 'query')],
    ...(body && { requestBody: required as object }),
    responses: responsesOf(route),
  }
}

/** `get /api/skills/{id}` becomes `getApiSkillsId`. */
function nameOf(method: string, path: string): string {
  return `${method}${path}`
    .replace(/[^a-z]+(\w?)/gi, (_, letter: string) => letter.toUpperCase())
    .replace(/\W/g, '')
}

function parametersOf(schema: z.ZodType | undefined, where: 'path' | 'query') {
  if (!schema) return []
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as Schema
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = property as { description?: string }
    return {
      name,
      in: where,
      required: where === 'path' || required.includes(name),
      ...(description && { description }),
      schema: rest,
    }
  })
}

function responsesOf({ answers }: Route) {
  const entries = Object.entries(answers).map(
    ([status, { description, schema, type = 'application/json' }]) => {
      const content = schema && { content: { [type]: { schema: schemaOf(schema, 'output') } } }
      const problem = Number(status) >= 400 && {
        content: { 'application/problem+json': { schema: problemSchema } },
      }
      return [status, { description, ...(content || problem) }]
    },
  )
  const badRequest = {
    description: 'What is wrong with the request.',
    content: { 'application/problem+json': { schema: problemSchema } },
  }
  return {
    ...Object.fromEntries(entries),
    400: badRequest,
    429: { description: 'Too much for one minute; see Retry-After.' },
  }
}

const problemSchema = {
  type: 'object',
  properties: {
    title: { type: 'string', description: 'What is wrong.' },
    action: { type: 'string', description: 'What to do.' },
    code: { type: 'string' },
    status: { type: 'integer' },
  },
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return json
}
