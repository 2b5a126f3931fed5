import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { createOutwardFetch, isInside } from './localNetwork.ts'

const none = new Set<string>()
const outward = createOutwardFetch({ trusted: none, allowLoopback: false })

describe('addresses inside', () => {
  test.each([
    ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '169.254.169.254', '172.31.255.255', '192.168.1.1'],
    ...['224.0.0.1', '255.255.255.255', '198.18.0.1', '168.63.129.16', '192.0.2.1', '203.0.113.9'],
    ...[
      '::',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:10.0.0.1',
      '::ffff:8.8.8.8',
      '::10.0.0.1',
      '100::1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
      'fd00::1',
      'fe80::1',
      '2606:4700::1111%eth0',
      'fec0::1',
      '2001:db8::1',
      'ff02::1',
    ],
    ...['', 'localhost', '127.1', '1.2.3'],
  ])('%s', (address) => {
    expect(isInside(address)).toBe(true)
  })

  test.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '8.8.8.8', '2606:4700::1111', '2001:4860:4860::8888'])(
    'but not %s',
    (address) => {
      expect(isInside(address)).toBe(false)
    },
  )
})

describe('an outward fetch', () => {
  test.each([
    'http://127.0.0.1:8080/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f.0.0.1/',
    'https://017700000001/',
    'https://localhost/',
    'https://localhost./',
    'https://api.localhost/',
    'https://[::1]/',
    'https://[::ffff:7f00:1]/',
    'https://[fd12::1]/',
    'http://169.254.169.254/latest/meta-data/',
    'https://10.0.0.1/',
    'https://0.0.0.0/',
    'http://api.example/',
  ])('refuses %s', async (url) => {
    await expect(outward(url)).rejects.toMatchObject({ code: 'address_refused' })
    await expect(outward(new URL(url), { method: 'POST' })).rejects.toMatchObject({ code: 'address_refused' })
  })

  test('refuses names that lead inside, by any of their addresses', async () => {
    const resolve = async () => [{ address: '93.184.216.34' }, { address: '192.168.0.10' }]
    const fetch = createOutwardFetch({ trusted: none, allowLoopback: false, resolve })
    await expect(fetch('https://intranet.example/')).rejects.toMatchObject({ code: 'address_refused' })
  })

  describe('on its way', () => {
    const servers: ReturnType<typeof createServer>[] = []
    afterAll(() => {
      for (const server of servers) server.close()
    })

    async function listen(listener: RequestListener): Promise<string> {
      const server = createServer(listener)
      servers.push(server)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }

    test('follows redirects of reads, and looks at each', async () => {
      let asked = 0
      const inner = await listen((_req, res) => {
        asked += 1
        res.end('secret')
      })
      const outer = await listen((req, res) => {
        const location = req.url === '/in' ? `${inner}/` : '/here'
        if (req.url === '/here') res.end('there')
        else res.writeHead(302, { location }).end()
      })
      const fetch = createOutwardFetch({ trusted: new Set([outer]), allowLoopback: false })
      expect(await (await fetch(`${outer}/on`)).text()).toBe('there')
      await expect(fetch(`${outer}/in`)).rejects.toMatchObject({ code: 'address_refused' })
      expect((await fetch(`${outer}/in`, { method: 'POST' })).status).toBe(302)
      expect((await fetch(`${outer}/in`, { redirect: 'manual' })).status).toBe(302)
      expect(asked).toBe(0)
    })

    test('gives a server that sends round in circles up', async () => {
      const circle = await listen((_req, res) => res.writeHead(302, { location: '/' }).end())
      const fetch = createOutwardFetch({ trusted: none, allowLoopback: true })
      expect((await fetch(circle)).status).toBe(302)
    })
  })
})
