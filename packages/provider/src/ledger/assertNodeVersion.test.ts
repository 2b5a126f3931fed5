import { expect, test } from 'vitest'
import { assertNodeVersion } from './assertNodeVersion.ts'

test('refuses a Node that would crash, and says so', () => {
  expect(() => assertNodeVersion('20.20.2')).toThrow(
    /needs Node 22 or newer, this is 20\.20\.2\. Update Node/,
  )
  expect(() => assertNodeVersion('8.0.0')).toThrow()
  expect(() => assertNodeVersion('22.0.0')).not.toThrow()
  expect(() => assertNodeVersion(process.versions.node)).not.toThrow()
})
