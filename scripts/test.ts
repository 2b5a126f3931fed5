/**
 * Runs every test: Solidity with forge, TypeScript with vitest. Counts what the runners report, ends with
 * `N passed, N failed` and leaves the counts in `.reports/test.json`. Options go to vitest.
 */
import { type Counts, finish, none, root, stream } from './counts.ts'

async function solidity(): Promise<Counts> {
  const { status, output } = await stream('forge', ['test'])
  const closing = /(\d+) tests? passed, (\d+) failed, (\d+) skipped \(\d+ total tests?\)/.exec(output)
  if (!closing) return { ...none, failed: 1 }
  const [passed = 0, failed = 0, skipped = 0] = closing.slice(1).map(Number)
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed, skipped }
}

async function typescript(): Promise<Counts> {
  const report = new URL('.reports/vitest.json', root)
  const options = ['--reporter=default', '--reporter=json', `--outputFile.json=${report.pathname}`]
  const { status } = await stream('vitest', ['run', ...options, ...process.argv.slice(2)])
  const { readFileSync } = await import('node:fs')
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(
    readFileSync(report, 'utf8'),
  )
  // A file that fails to load, or an error outside of any test, has no failed test of its own.
  const failed = status !== 0 && numFailedTests === 0 ? 1 : numFailedTests
  return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests }
}

finish('test', [await solidity(), await typescript()])
