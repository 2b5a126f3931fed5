/** A route of the API: the schemas that check what comes in are those that its documentation is made of. */
import type { z } from 'zod'
import type { Caller } from './Caller.ts'

type Output<schema> = schema extends z.ZodType ? z.output<schema> : undefined

export type Answer = {
  description: string
  schema?: z.ZodType
  /** `application/json` by default. */
  type?: string
}

export type Route<
  params extends z.ZodType | undefined = z.ZodType | undefined,
  query extends z.ZodType | undefined = z.ZodType | undefined,
  body extends z.ZodType | undefined = z.ZodType | undefined,
> = {
  method: 'get' | 'post' | 'put' | 'delete'
  /** With `{name}` for parameters. */
  path: string
  summary: string
  description?: string
  tag: string
  params?: params
  /** Must be strict: an unknown parameter is refused. */
  query?: query
  body?: body
  /** The most bytes of a body; 64 KiB by default. */
  longest?: number
  answers: Record<number, Answer>
  /** Who may ask: an operator is asked for where this is `operator`. */
  access?: 'public' | 'operator'
  /** What of the caller's budget it takes; 1 by default, and what makes others work takes more. */
  cost?: number
  /** A `Response`, or what becomes JSON with status 200. @throws {Problem} */
  handle(input: {
    params: Output<params>
    query: Output<query>
    body: Output<body>
    /** The body before the schema filled in or took away anything: what was signed. */
    sent: Record<string, unknown>
    request: Request
    caller: Caller
  }): Promise<Response | object>
}

/** Ties the types of the schemas to those of `handle`. */
export function defineRoute<
  params extends z.ZodType | undefined = undefined,
  query extends z.ZodType | undefined = undefined,
  body extends z.ZodType | undefined = undefined,
>(route: Route<params, query, body>): Route {
  return route as unknown as Route
}
