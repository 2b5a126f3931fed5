/** A directory in the operator's own network: read and told by the server, and out of an agent's reach. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Agent, createAgent } from '../createAgent.ts'
import { readMcpSettings } from '../settings.ts'

const asked: string[] = []
const server = createServer((req, res) => {
  asked.push(`${req.method} ${req.url?.split('?')[0]}`)
  res.end('{"providers":[{"id":"sound","apiUrl":"https://sound.example","status":{"online":true}}]}')
})
let origin: string
let agent: Agent
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  agent = createAgent(readMcpSettings({ DRAIN_DIRECTORY_URL: origin }))
})
afterAll(() => server.close())

test('lists and reports reach it', async () => {
  expect((await agent.directory.list({ onlineOnly: true, limit: 20 })).total).toBe(1)
  expect((await agent.directory.send('/api/telemetry', { method: 'POST', body: '{}' })).status).toBe(200)
  expect(asked).toEqual(['GET /api/mcp/providers', 'POST /api/telemetry'])
})

test.each(['GET', 'POST', 'DELETE'])('%s of an agent does not', async (method) => {
  asked.length = 0
  await expect(agent.fetch(`${origin}/admin`, { method })).rejects.toMatchObject({ code: 'address_refused' })
  await expect(agent.directory.find(origin)).rejects.toMatchObject({ code: 'address_refused' })
  expect(asked).toEqual([])
})
