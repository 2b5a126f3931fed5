/** A figure that counts requests is only honest if none passes uncounted. */
import { expect, it } from 'vitest'
import { countRequests } from '../load/countRequests.ts'
import { listen } from '../servers/listen.ts'

it('counts every request, and passes it and its answer on', async () => {
  const server = await listen(async (req, res) => {
    let text = ''
    for await (const piece of req.setEncoding('utf8')) text += piece
    res.writeHead(text === 'refuse' ? 402 : 200, { 'X-Voucher': req.headers['x-voucher'] ?? 'none' })
    res.write(`${req.method} ${req.url} `)
    res.end(text)
  })
  const counter = await countRequests(server.port)
  const send = (path: string, body: string) =>
    fetch(`${counter.origin}${path}`, { method: 'POST', body, headers: { 'X-Voucher': '1' } })
  try {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => send('/paid', `${index}`)))
    expect(await answers[3]?.text()).toBe('POST /paid 3')
    expect(answers[3]?.headers.get('x-voucher')).toBe('1')
    expect((await send('/paid?again', 'refuse')).status).toBe(402)
    expect((await fetch(`${counter.origin}/list`)).status).toBe(200)
    expect(Object.fromEntries(counter.take())).toEqual({ 'POST /paid': 11, 'GET /list': 1 })
    expect(counter.take().size).toBe(0)
  } finally {
    await counter.close()
    await server.close()
  }
})
