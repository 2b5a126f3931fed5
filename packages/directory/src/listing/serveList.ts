/** The list that every agent asks for first, straight from Node's server: what is prepared needs nothing in between. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { assertWithin } from '../http/createApi.ts'
import { networkOf } from '../http/networkOf.ts'
import type { RateLimit } from '../http/RateLimit.ts'
import { Problem } from '../problem.ts'
import type { PreparedLists } from './PreparedLists.ts'

const path = '/api/mcp/providers'
/** Below it compressing costs more than it saves. */
const worthCompressing = 1_400

export type ServeList = (request: IncomingMessage, response: ServerResponse) => boolean

/** Answers where it is a request for the list, and says whether it was. */
export function createServeList({
  lists,
  limit,
  proxies,
  log,
}: {
  lists: PreparedLists
  limit: RateLimit
  proxies: number
  log: Logger
}): ServeList {
  function failed(error: unknown): Problem {
    log.error({ err: error, route: path }, 'a request failed')
    return new Problem(500, 'internal', 'Something failed here.', {
      action: 'Try again; tell the operator if it stays so.',
    })
  }

  return (request, response) => {
    const { url = '', method, headers } = request
    if (!url.startsWith(path) || (method !== 'GET' && method !== 'HEAD')) return false
    const search = url.slice(path.length)
    if (search !== '' && !search.startsWith('?')) return false
    try {
      const forwarded = headers['x-forwarded-for']
      const hops = Array.isArray(forwarded) ? forwarded.join(',') : forwarded
      assertWithin(limit, networkOf(request.socket.remoteAddress, hops, proxies), 1)
      const list = lists.get(search.slice(1))
      if (isKnown(headers['if-none-match'], list.etag)) {
        response.writeHead(304, list.headers).end()
        return true
      }
      const isCompressed = list.body.length > worthCompressing && acceptsGzip(headers['accept-encoding'])
      const body = isCompressed ? list.gzip() : list.body
      response.writeHead(200, {
        ...list.headers,
        'Content-Length': body.length,
        ...(isCompressed && { 'Content-Encoding': 'gzip' }),
      })
      response.end(method === 'HEAD' ? undefined : body)
    } catch (error) {
      // Nothing stands above this: what is thrown here would end the process.
      const problem = error instanceof Problem ? error : failed(error)
      response
        .writeHead(problem.status, {
          'Content-Type': 'application/problem+json',
          'Access-Control-Allow-Origin': '*',
          ...problem.headers,
        })
        .end(JSON.stringify(problem.toJson()))
    }
    return true
  }
}

/** RFC 9110, section 13.1.2: compared weakly. */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((text) => {
    const one = text.trim()
    return one === '*' || one === etag || `W/${one}` === etag
  })
}

function acceptsGzip(header: string | string[] | undefined): boolean {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  return /(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+)?\s*(?:,|$)/i.test(text)
}
