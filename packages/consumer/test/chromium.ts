import { existsSync } from 'node:fs'
import { type BrowserContext, chromium } from 'playwright-core'

const executablePath = '/usr/bin/chromium'

/** Whether tests in a browser can run. Where not, they are skipped, and this has said why. */
export const hasChromium = existsSync(executablePath)

if (!hasChromium)
  console.warn(`${executablePath} is missing: tests in a browser are skipped (apt-get install chromium).`)

/** Nothing that asks for another machine. */
const flags = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

/**
 * Starts Debian's Chromium. What its pages keep is in `profile`, and is there again when it is started on the same folder.
 * Close it.
 */
export function startChromium(profile: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(profile, { executablePath, args: flags, chromiumSandbox: false })
}
