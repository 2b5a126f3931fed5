/** Node's server with a handler that does nothing. */
import { listen } from './listen.ts'
import type { Server } from './Server.ts'

export async function start(): Promise<Server> {
  const server = await listen((_request, response) => {
    response.writeHead(200, { 'Content-Length': 0 }).end()
  })
  return { ...server, paid: async () => 0 }
}
