import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { createServeList } from './serveList.ts'

it('answers 500, and goes on, where the list can’t be made', async () => {
  const lists = {
    get() {
      throw new RangeError('Invalid time value of somebody')
    },
  }
  const limit = { take: () => 0 }
  const serveList = createServeList({ lists, limit, proxies: 0, log: pino({ level: 'silent' }) })
  let thrown: unknown
  const server = createServer((request, response) => {
    try {
      serveList(request, response)
    } catch (error) {
      thrown = error
      response.writeHead(599).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const response = await fetch(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/mcp/providers`,
    )
    expect([response.status, thrown]).toEqual([500, undefined])
    expect(await response.text()).not.toContain('somebody')
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})
