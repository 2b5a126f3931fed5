import { Feedback } from '@drain/core'

/** A stranger's words, to be kept: one line, without what can't be seen or turns the text around. */
export function cleanReason(text: string): string {
  const printable = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+/gu, ' ')
  return [...printable.replace(/\s+/g, ' ').trim()].slice(0, Feedback.longestReason).join('')
}
