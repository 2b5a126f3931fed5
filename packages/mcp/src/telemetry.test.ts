import { expect, test } from 'vitest'
import { createDirectory } from './directory/Directory.ts'
import { readMcpSettings } from './settings.ts'
import { report } from './telemetry.ts'

const event = { providerId: 'a', latencyMs: 1, httpStatus: 200, costUsdc: '0.1', protocol: 'mpp' } as const

/** A rejection that nobody handles fails the run. */
test.each([
  ['breaks off', () => Promise.reject(new Error('reset'))],
  [
    'cannot be left',
    async () =>
      new Response(
        new ReadableStream({
          cancel() {
            throw new Error('no')
          },
        }),
      ),
  ],
])('an answer that %s disturbs nobody', async (_, answer) => {
  const settings = readMcpSettings({ DRAIN_TELEMETRY: '1', DRAIN_DIRECTORY_URL: 'https://market.example' })
  const asked: string[] = []
  const fetch = async (input: unknown) => {
    asked.push(String(input))
    return answer()
  }
  report(
    { settings, directory: createDirectory({ url: settings.directoryUrl, fetch, outwardFetch: fetch }) },
    event,
  )
  await new Promise((resolve) => setImmediate(resolve))
  expect(asked).toEqual(['https://market.example/api/telemetry'])
})
