import { expect, test } from 'vitest'
import { createSentText } from './SentText.ts'

test('what was sent is measured in bytes, as it is kept', () => {
  const sent = createSentText(9)
  for (const text of ['€', 'é', '日']) sent.add(text)
  expect([sent.isTooLong, sent.bytes()]).toEqual([false, new TextEncoder().encode('€é日')])
  sent.add('é')
  expect([sent.isTooLong, sent.bytes()]).toEqual([true, undefined])
})
