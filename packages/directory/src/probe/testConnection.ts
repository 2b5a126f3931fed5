/** The connection test: what an agent would meet at an API, tried before the API is listed, and every few minutes after that. */
import { createAsk, createChecklist } from './asking.ts'
import type { ConnectionTest, TestOptions } from './ConnectionTest.ts'
import { testDrain } from './testDrain.ts'
import { testMpp } from './testMpp.ts'

/**
 * Tries an API as an agent without a payment would, check by check. Never throws for what the server does; `outward` decides which
 * addresses are asked.
 *
 * @example
 * ```ts
 * const { passed, checks } = await testConnection({ apiUrl, protocol: 'drain', providerAddress, outward })
 * ```
 */
export async function testConnection(options: TestOptions): Promise<ConnectionTest> {
  const ask = createAsk(options.outward, options)
  const list = createChecklist(options.onCheck)
  const found = await (options.protocol === 'mpp' ? testMpp : testDrain)(options, ask, list)
  const { checks } = list
  return { passed: checks.every(({ passed }) => passed), checks, ...found }
}
