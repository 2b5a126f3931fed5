import { type AddressInfo, createServer, type Socket } from 'node:net'
import tls from 'node:tls'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { certificate } from './certificate.fixture.ts'
import { OutwardError } from './OutwardError.ts'
import { createOutwardFetch, type OutwardOptions, type OutwardRequest } from './outwardFetch.ts'
import { type RawServer, reply, startRawServer } from './rawServer.fixture.ts'

const servers: RawServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

async function serve(answer: string | ((socket: Socket, request: string) => void), options = {}) {
  const say = typeof answer === 'string' ? (socket: Socket) => socket.end(answer) : answer
  const server = await startRawServer(say, options)
  servers.push(server)
  return server
}

const patient = { timeoutMs: 30_000, maxBytes: 10_000 }
const local = createOutwardFetch({ allowLoopback: true })
const ask = (port: number, request: Partial<OutwardRequest> = {}, path = '/') =>
  local(`http://127.0.0.1:${port}${path}`, { ...patient, ...request })

/** The code of what a request fails with. */
async function failure(asking: Promise<unknown>): Promise<OutwardError> {
  const error = await asking.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  )
  if (error instanceof OutwardError) return error
  throw error
}
const codeOf = async (asking: Promise<unknown>) => (await failure(asking)).code

/** Says another thing each time it is asked; the last one for ever. */
function resolving(...answers: (readonly string[])[]) {
  const asked: string[] = []
  const resolve: OutwardOptions['resolve'] = async (host) => {
    asked.push(host)
    return answers[Math.min(asked.length, answers.length) - 1] ?? []
  }
  return { asked, resolve }
}

describe('an answer', () => {
  test('with its status, headers, text and final URL', async () => {
    const headers = { 'WWW-Authenticate': 'Payment id="a"\r\nwww-authenticate: Payment id="b"' }
    const { port } = await serve(reply(402, 'pay ünicode', headers))
    const answer = await ask(port, {}, '/a?b=c#d')
    expect(answer).toMatchObject({ status: 402, text: 'pay ünicode', url: `http://127.0.0.1:${port}/a?b=c` })
    expect(answer.headers.get('WWW-Authenticate')).toBe('Payment id="a", Payment id="b"')
    expect(answer.latencyMs).toBeGreaterThanOrEqual(0)
  })

  test('to a request that asks for no compression, on a connection of its own', async () => {
    const { port, received } = await serve((socket) =>
      socket.write(reply(200, 'ok', { Connection: 'keep-alive' })),
    )
    const body = JSON.stringify({ model: 'ü' })
    await ask(port, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json', 'Accept-Encoding': 'gzip' },
    })
    await ask(port)
    expect(received).toHaveLength(2)
    expect(received[0]).toMatch(/^POST \/ HTTP\/1\.1\r\n/)
    expect(received[0]).toMatch(/\r\naccept-encoding: identity\r\n/i)
    expect(received[0]).not.toMatch(/gzip/)
    expect(received[0]).toMatch(/\r\nconnection: close\r\n/i)
    expect(received[0]).toMatch(new RegExp(`\r\nhost: 127\\.0\\.0\\.1:${port}\r\n`, 'i'))
    expect(
      Buffer.from(received[0] ?? '', 'latin1')
        .toString('utf8')
        .endsWith(body),
    ).toBe(true)
  })

  test('chunked, in pieces', async () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    const { port } = await serve(`${head}3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n`)
    expect((await ask(port)).text).toBe('abcdef')
  })
})

describe('names', () => {
  test('are looked up once, and the connection goes where that led', async () => {
    // It listens there only: whoever asked the system, or asked again, would not get this answer.
    const { port, received } = await serve(reply(200, 'pinned'), { host: '127.0.0.5' })
    const { asked, resolve } = resolving(['127.0.0.5'], ['169.254.169.254'], ['10.0.0.1'])
    const outward = createOutwardFetch({ allowLoopback: true, resolve })
    expect((await outward(`http://localhost:${port}/`, patient)).text).toBe('pinned')
    expect(asked).toEqual(['localhost'])
    // The name stays in the request.
    expect(received[0]).toMatch(new RegExp(`\r\nhost: localhost:${port}\r\n`, 'i'))
  })

  test('are looked up and judged anew after a redirect', async () => {
    const { port, received } = await serve(reply(302, '', { Location: '/again' }))
    const { asked, resolve } = resolving(['127.0.0.1'], ['169.254.169.254'])
    const outward = createOutwardFetch({ allowLoopback: true, resolve })
    expect(await codeOf(outward(`http://localhost:${port}/`, patient))).toBe('address_refused')
    expect(asked).toEqual(['localhost', 'localhost'])
    expect(received).toHaveLength(1)
  })

  test('that don’t answer at one of their addresses are asked at the next', async () => {
    const { port } = await serve(reply(200, 'here'))
    const { resolve } = resolving(['::1', '127.0.0.1'])
    const outward = createOutwardFetch({ allowLoopback: true, resolve })
    expect((await outward(`http://localhost:${port}/`, patient)).text).toBe('here')
  })

  test.each([
    ['a private address', ['10.0.0.1']],
    ['the metadata address', ['169.254.169.254']],
    ['this machine', ['127.0.0.1']],
    ['this machine, mapped', ['::ffff:127.0.0.1']],
    ['a public and a private address', ['8.8.8.8', '192.168.0.1']],
    ['a public address and this machine in IPv6', ['8.8.8.8', '::1']],
    ['nothing', []],
    ['what is no address', ['metadata.internal']],
  ])('that lead to %s are refused', async (_, addresses) => {
    for (const allowLoopback of [false, true]) {
      const outward = createOutwardFetch({ allowLoopback, resolve: async () => addresses })
      expect(await codeOf(outward('https://rebind.example/', patient))).toBe('address_refused')
    }
  })

  test('that lead inside are told from those that lead nowhere in no way', async () => {
    const said = async (addresses: string[]) => {
      const outward = createOutwardFetch({ allowLoopback: false, resolve: async () => addresses })
      return (await failure(outward('https://db.corp.example/', patient))).message
    }
    const inside = await said(['10.1.2.3'])
    expect(inside).toBe(await said([]))
    expect(inside).not.toContain('10.1.2.3')
    expect(inside).toContain('db.corp.example')
  })

  test('of this machine must lead to it', async () => {
    const outward = createOutwardFetch({
      allowLoopback: true,
      resolve: async () => ['127.0.0.1', '10.0.0.1'],
    })
    expect(await codeOf(outward('http://localhost:3000/', patient))).toBe('address_refused')
  })

  test('whose servers don’t answer end in time', async () => {
    const resolve = () => new Promise<never>(() => {})
    const outward = createOutwardFetch({ allowLoopback: false, resolve, lookupTimeoutMs: 50 })
    expect(await codeOf(outward('https://slow.example/', patient))).toBe('timeout')
    const hurried = createOutwardFetch({ allowLoopback: false, resolve, lookupTimeoutMs: 600_000 })
    expect(await codeOf(hurried('https://slow.example/', { ...patient, timeoutMs: 50 }))).toBe('timeout')
  })
})

describe('without the switch this machine is refused', () => {
  const outward = createOutwardFetch({ allowLoopback: false })
  test.each([
    'https://127.0.0.1:8443/',
    'https://[::1]:8443/',
    'https://2130706433:8443/',
    'https://localhost:8443/',
  ])('%s', async (url) => expect(await codeOf(outward(url, patient))).toBe('address_refused'))
})

describe('addresses in the URL are refused alike', () => {
  test.each([
    'https://169.254.169.254/latest/meta-data/',
    'https://0xa9fea9fe/',
    'https://2852039166/',
    'https://[::ffff:169.254.169.254]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::127.0.0.1]/',
    'https://[64:ff9b::169.254.169.254]/',
    'https://[2002:a9fe:a9fe::]/',
    'https://[fd00:ec2::254]/',
    'https://0.0.0.0/',
    'https://0/',
    'https://[::]/',
    'https://10.0.0.1/',
  ])('%s', async (url) => expect(await codeOf(local(url, patient))).toBe('address_refused'))
})

describe('redirects', () => {
  test('are followed by hand, and what was meant for one server isn’t told another', async () => {
    const last = await serve(reply(200, 'there'))
    const first = await serve(reply(308, '', { Location: `http://localhost:${last.port}/there` }))
    const answer = await ask(first.port, { headers: { 'X-Own': 'mine' } })
    expect(answer).toMatchObject({ status: 200, text: 'there', url: `http://localhost:${last.port}/there` })
    expect(first.received[0]).toMatch(/x-own: mine/i)
    expect(last.received[0]).not.toMatch(/x-own/i)
  })

  test.each([
    ['metadata', 'http://169.254.169.254/latest/meta-data/', 'url_refused'],
    ['metadata over TLS', 'https://169.254.169.254/latest/meta-data/', 'address_refused'],
    ['a private address', 'https://[::ffff:10.0.0.1]/', 'address_refused'],
    ['a file', 'file:///etc/passwd', 'url_refused'],
    ['a password', 'http://me:secret@127.0.0.1/', 'url_refused'],
    ['another service', 'http://127.0.0.1:6379/', 'url_refused'],
    ['no URL', 'http://[', 'url_refused'],
  ])('to %s are refused', async (_, location, code) => {
    const { port } = await serve(reply(302, '', { Location: location }))
    expect(await codeOf(ask(port))).toBe(code)
  })

  test('that go on for ever end', async () => {
    const { port, received } = await serve(reply(301, '', { Location: '/' }))
    expect(await codeOf(ask(port))).toBe('too_many_redirects')
    expect(received).toHaveLength(4)
  })

  test('of what isn’t only read, or where none is wanted, are the answer', async () => {
    const { port, received } = await serve(reply(307, '', { Location: '/elsewhere' }))
    expect(await ask(port, { method: 'POST', body: '{}' })).toMatchObject({ status: 307 })
    expect(await ask(port, { redirects: 0 })).toMatchObject({ status: 307 })
    expect(received).toHaveLength(2)
  })

  test('without a place to go are the answer', async () => {
    const { port } = await serve(reply(302, 'nowhere'))
    expect(await ask(port)).toMatchObject({ status: 302, text: 'nowhere' })
  })
})

describe('too much', () => {
  test('of a body that never ends', async () => {
    const { port } = await serve((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      const more = () => {
        while (!socket.destroyed && socket.write('x'.repeat(16_384)));
      }
      socket.on('drain', more)
      more()
    })
    expect(await codeOf(ask(port))).toBe('too_large')
  })

  test('of a body that is announced', async () => {
    const { port } = await serve((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n${'x'.repeat(20_000)}`),
    )
    expect(await codeOf(ask(port))).toBe('too_large')
  })

  test('by one byte, and not by none', async () => {
    const { port } = await serve(reply(200, 'x'.repeat(100)))
    expect(await codeOf(ask(port, { maxBytes: 99 }))).toBe('too_large')
    expect((await ask(port, { maxBytes: 100 })).text).toHaveLength(100)
  })

  test('of headers', async () => {
    const { port } = await serve(reply(200, '', { 'X-Long': 'x'.repeat(100_000) }))
    expect(await codeOf(ask(port))).toBe('too_large')
  })

  test('of headers, one after the other', async () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`X-${index}`, 'x']))
    const { port } = await serve(reply(200, '', many))
    expect(await codeOf(ask(port))).toBe('too_large')
  })

  test.each(['gzip', 'deflate, gzip', 'br', 'zstd', 'GZIP'])(
    'of what is compressed: %s',
    async (encoding) => {
      const bomb = gzipSync(Buffer.alloc(10_000_000))
      const { port } = await serve((socket) => {
        const head = `HTTP/1.1 200 OK\r\nContent-Encoding: ${encoding}\r\nContent-Length: ${bomb.length}\r\n\r\n`
        socket.end(Buffer.concat([Buffer.from(head), bomb]))
      })
      expect(await codeOf(ask(port, { maxBytes: 1 << 20 }))).toBe('bad_answer')
    },
  )
})

describe('too late', () => {
  const hurried = { timeoutMs: 300 }
  /** Sends a little again and again. */
  const drip = (start: string, piece: string) => (socket: Socket) => {
    socket.write(start)
    const timer = setInterval(() => socket.write(piece), 20)
    socket.on('close', () => clearInterval(timer))
  }

  test.each([
    ['nothing comes', () => {}],
    ['the head comes slowly', drip('HTTP/1.1 200 OK\r\n', 'X-Slow: 1\r\n')],
    ['the body comes slowly', drip('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n', 'x')],
    ['early hints come for ever', drip('', 'HTTP/1.1 103 Early Hints\r\n\r\n')],
  ])('%s', async (_, answer) => {
    const { port } = await serve(answer)
    expect(await codeOf(ask(port, hurried))).toBe('timeout')
  })

  test('each redirect takes a while, and all share one time', async () => {
    const { port } = await serve((socket) => {
      setTimeout(() => socket.end(reply(302, '', { Location: '/' })), 150)
    })
    expect(await codeOf(ask(port, hurried))).toBe('timeout')
  })
})

describe('no answer', () => {
  test.each([
    ['nobody listens', undefined, 'unreachable'],
    ['the connection ends', (socket: Socket) => socket.destroy(), 'unreachable'],
    ['the body breaks off', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', 'unreachable'],
    ['it is another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', 'bad_answer'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 'bad_answer'],
    [
      'another protocol is offered',
      'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      'unreachable',
    ],
  ])('%s', async (_, answer, code) => {
    const server = await serve(answer ?? '')
    if (answer === undefined) await server.close()
    const error = await failure(ask(server.port))
    expect(error.code).toBe(code)
    expect(error.message).not.toMatch(/ECONN|HPE_|socket|undefined/)
  })
})

describe('over TLS', () => {
  const trusted = tls.getCACertificates('default')
  beforeAll(() => tls.setDefaultCACertificates([...trusted, certificate.cert]))
  afterAll(() => tls.setDefaultCACertificates(trusted))

  test('the certificate is checked against the name, and the connection goes to the checked address', async () => {
    const { port } = await serve(reply(200, 'safe'), { isTls: true, host: '127.0.0.5' })
    const outward = createOutwardFetch({ allowLoopback: true, resolve: async () => ['127.0.0.5'] })
    expect((await outward(`https://localhost:${port}/`, patient)).text).toBe('safe')
    const error = await failure(outward(`https://127.0.0.5:${port}/`, patient))
    expect(error).toMatchObject({ code: 'tls', message: expect.stringContaining('for another name') })
  })

  test('a certificate that nobody trusts is refused, whatever the environment says', async () => {
    const { port, received } = await serve(reply(200, 'safe'), { isTls: true })
    tls.setDefaultCACertificates(trusted)
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      expect(await codeOf(local(`https://localhost:${port}/`, patient))).toBe('tls')
      expect(received.join('')).toBe('')
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
      tls.setDefaultCACertificates([...trusted, certificate.cert])
    }
  })

  test('a server that doesn’t speak it is told so', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume()
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    expect(await codeOf(local(`https://127.0.0.1:${port}/`, patient))).toBe('tls')
    await new Promise((resolve) => server.close(resolve))
  })
})
