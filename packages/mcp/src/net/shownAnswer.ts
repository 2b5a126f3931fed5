/** A server's answer in the form that an agent can take it in: text in a frame, an image, a sound, or base64. */
import { framed, printable } from '../text/untrusted.ts'
import { mediaOf } from './media.ts'
import type { Body } from './readBody.ts'

export type ShownAnswer = {
  text: string
  data: { contentType: string; bytes: number; isCut: boolean; text?: string; base64?: string }
  content?: { type: 'image' | 'audio'; data: string; mimeType: string }[]
}

/** The most text that is shown, in characters, and the most of what isn't text, in bytes. */
const longestText = 100_000
const longestBinary = 1 << 20

/** @param from Who wrote it, for the frame. */
export function shownAnswer(
  { bytes, isCut, contentType }: Body & { contentType: string },
  from: string,
): ShownAnswer {
  const shape = { contentType, bytes: bytes.length, isCut }
  const type = contentType || 'no known type'
  const media = !isCut && /^(?:image|audio)\//i.test(contentType) ? mediaOf(bytes) : undefined
  if (media) {
    const { kind, mimeType } = media
    const content = [{ type: kind, data: Buffer.from(bytes).toString('base64'), mimeType }]
    return { text: `${bytes.length} bytes of ${mimeType}.`, data: shape, content }
  }
  if (isText(contentType)) {
    const whole = new TextDecoder().decode(bytes)
    const text = printable(whole.slice(0, longestText))
    const isShort = isCut || whole.length > longestText
    const note = isShort ? '\nThe answer was longer, and cut.' : ''
    return { text: `${framed(text, from)}${note}`, data: { ...shape, isCut: isShort, text } }
  }
  const some = bytes.subarray(0, longestBinary)
  const isShort = isCut || some.length < bytes.length
  const count = `${isCut ? 'More than ' : ''}${bytes.length} bytes of ${type}`
  return {
    text: isShort ? `${count}; the first ${some.length} of them in base64.` : `${count}, in base64.`,
    data: { ...shape, isCut: isShort, base64: Buffer.from(some).toString('base64') },
  }
}

function isText(contentType: string): boolean {
  return (
    contentType === '' || /^text\/|json|xml|javascript|x-www-form-urlencoded|event-stream/i.test(contentType)
  )
}
