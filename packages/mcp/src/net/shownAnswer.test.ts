import { describe, expect, test } from 'vitest'
import { mediaOf } from './media.ts'
import { shownAnswer } from './shownAnswer.ts'

const bytesOf = (text: string) => Buffer.from(text, 'latin1')
const answer = (bytes: Uint8Array, contentType: string, isCut = false) =>
  shownAnswer({ bytes, contentType, isCut }, 'https://a.example')

describe('images and sounds', () => {
  test.each([
    ['image/png', '\x89PNG\r\n\x1a\n'],
    ['image/jpeg', '\xff\xd8\xff\xe0'],
    ['image/gif', 'GIF89a'],
    ['image/webp', 'RIFF\x10\0\0\0WEBPVP8 '],
    ['audio/wav', 'RIFF\x10\0\0\0WAVEfmt '],
    ['audio/mpeg', 'ID3\x04'],
    ['audio/mpeg', '\xff\xfb\x90\x64'],
    ['audio/ogg', 'OggS\0'],
  ])('%s by its bytes, whatever the server calls it', (mimeType, text) => {
    const [kind = ''] = mimeType.split('/')
    const content = [{ type: kind, mimeType, data: bytesOf(text).toString('base64') }]
    const shown = answer(bytesOf(text), `${kind}/x-whatever`)
    expect(shown).toMatchObject({ content, data: { bytes: text.length, isCut: false } })
    expect(shown.data).not.toHaveProperty('base64')
  })

  test.each(['', 'RIFF', 'RIFF\0\0\0\0AVI ', '\xff\xd9', '\xff\xf9\x50', '\xff\xeb\x90', '<svg/>', 'ftyp'])(
    '%j is neither',
    (text) => {
      expect(mediaOf(bytesOf(text))).toBeUndefined()
    },
  )

  test('what only says that it is one goes out as base64', () => {
    const shown = answer(bytesOf('MZ\x90\0'), 'image/png')
    expect(shown).not.toHaveProperty('content')
    expect(shown.data.base64).toBe(bytesOf('MZ\x90\0').toString('base64'))
  })

  test('one that broke off isn’t shown', () => {
    expect(answer(bytesOf('\x89PNG'), 'image/png', true)).not.toHaveProperty('content')
  })

  test('a drawing in text is text', () => {
    expect(answer(bytesOf('<svg/>'), 'image/svg+xml').data.text).toBe('<svg/>')
  })
})

test('text is framed, cleaned, and at most 100,000 characters', () => {
  const { text, data } = answer(Buffer.from(`\u202e${'é'.repeat(150_000)}`), 'text/plain; charset=utf-8')
  expect(data.text).toBe('é'.repeat(99_999))
  expect(data).toMatchObject({ isCut: true, bytes: 300_003 })
  expect(text).toMatch(/^<<<untrusted[\s\S]*>>>\nThe answer was longer, and cut\.$/)
})

test('what is neither is at most 1 MiB of base64, and it is said how much there was', () => {
  const bytes = new Uint8Array(3 << 20)
  const { text, data } = answer(bytes, 'application/zip')
  expect(text).toBe('3145728 bytes of application/zip; the first 1048576 of them in base64.')
  expect(data).toMatchObject({ bytes: 3 << 20, isCut: true })
  expect(Buffer.from(data.base64 ?? '', 'base64')).toHaveLength(1 << 20)
  expect(answer(bytes, 'application/zip', true).text).toMatch(/^More than 3145728 bytes/)
  expect(answer(new Uint8Array(4), 'application/zip')).toMatchObject({
    text: '4 bytes of application/zip, in base64.',
    data: { isCut: false },
  })
})
