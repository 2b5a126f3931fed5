import { describe, expect, test } from 'vitest'
import { OutwardError } from './OutwardError.ts'
import { outwardUrl } from './outwardUrl.ts'

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof OutwardError) return error.code
    throw error
  }
  return 'taken'
}

describe('spellings of this machine are what they stand for', () => {
  test.each([
    ['http://127.0.0.1/', '127.0.0.1'],
    ['http://2130706433/', '127.0.0.1'],
    ['http://0x7f000001/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://0177.0.0.1/', '127.0.0.1'],
    ['http://017700000001/', '127.0.0.1'],
    ['http://127.1/', '127.0.0.1'],
    ['http://127.0.1/', '127.0.0.1'],
    ['http://127.0.0.1./', '127.0.0.1'],
    ['http://%31%32%37.0.0.1/', '127.0.0.1'],
    ['http://①②⑦.⓪.⓪.①/', '127.0.0.1'],
    ['http://127。0。0。1/', '127.0.0.1'],
    ['http://[::1]/', '::1'],
    ['http://[0:0:0:0:0:0:0:1]/', '::1'],
    ['http://localhost/', 'localhost'],
    ['http://LOCALHOST./', 'localhost'],
    ['http://ｌｏｃａｌｈｏｓｔ/', 'localhost'],
    ['http:127.0.0.1', '127.0.0.1'],
    ['http:\\\\127.0.0.1\\', '127.0.0.1'],
  ])('%s', (text, host) => {
    expect(outwardUrl(text, true)).toMatchObject({ host, isLoopback: true })
    expect(codeOf(() => outwardUrl(text, false))).toBe('url_refused')
  })
})

test.each([
  ['https://api.example/v1', 'api.example'],
  ['https://api.example.:8443/v1', 'api.example'],
  ['https://bücher.example/', 'xn--bcher-kva.example'],
  ['https://[2606:4700::1]:4430/', '2606:4700::1'],
  ['https://localhost.example/', 'localhost.example'],
  ['https://sub.localhost/', 'sub.localhost'],
  ['https://127.0.0.1.example/', '127.0.0.1.example'],
])('%s is a server elsewhere', (text, host) => {
  expect(outwardUrl(text, true)).toMatchObject({ host, isLoopback: false })
})

test('a name keeps its port, path and query, and loses its last dot and its fragment', () => {
  const { url } = outwardUrl('https://API.example.:8443/a/b?c=d#e', false)
  expect(url.href).toBe('https://api.example:8443/a/b?c=d')
})

describe('refused, whatever is allowed', () => {
  test.each([
    ['http without TLS', 'http://api.example/'],
    ['http to a mapped loopback', 'http://[::ffff:127.0.0.1]/'],
    ['http to all addresses', 'http://0.0.0.0/'],
    ['http to a name below localhost', 'http://sub.localhost/'],
    ['a file', 'file:///etc/passwd'],
    ['ftp', 'ftp://api.example/'],
    ['gopher', 'gopher://api.example:70/_x'],
    ['a socket', 'unix:/var/run/docker.sock'],
    ['a socket in http', 'http+unix://%2Fvar%2Frun%2Fdocker.sock/'],
    ['data', 'data:text/plain,hello'],
    ['script', 'javascript:alert(1)'],
    ['a user', 'https://user@api.example/'],
    ['a password', 'https://user:secret@api.example/'],
    ['a host that looks like a user', 'https://api.example@127.0.0.1/'],
    ['SSH', 'https://api.example:22/'],
    ['mail', 'https://api.example:25/'],
    ['a low port', 'https://api.example:1/'],
    ['port 0', 'https://api.example:0/'],
    ['Redis', 'https://api.example:6379/'],
    ['Postgres on this machine', 'http://127.0.0.1:5432/'],
    ['a port that is none', 'https://api.example:99999/'],
    ['no URL', 'api.example'],
    ['nothing', ''],
    ['a space in the host', 'https://api example/'],
    ['a host of 300 digits', `https://${'9'.repeat(300)}/`],
    ['a very long path', `https://api.example/${'x'.repeat(2_000)}`],
  ])('%s', (_, text) => {
    expect(codeOf(() => outwardUrl(text, true))).toBe('url_refused')
    expect(codeOf(() => outwardUrl(text, false))).toBe('url_refused')
  })
})

test('this machine is not where others may redirect to', () => {
  const elsewhere = outwardUrl('https://api.example/', true)
  for (const location of ['http://127.0.0.1:3000/', '//localhost:3000/', 'https://[::1]:3000/']) {
    expect(
      codeOf(() => outwardUrl(location, true, elsewhere)),
      location,
    ).toBe('address_refused')
  }
  const here = outwardUrl('http://localhost:3000/a', true)
  expect(outwardUrl('http://127.0.0.1:3001/', true, here).isLoopback).toBe(true)
  expect(outwardUrl('b', true, here).url.href).toBe('http://localhost:3000/b')
})
