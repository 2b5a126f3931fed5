/**
 * Runs every test: Solidity with forge, TypeScript with vitest. Counts what the runners report, ends with
 * `N passed, N failed` and leaves the counts in `.reports/test.json`. Options go to vitest.
 */
import { readFileSync } from 'node:fs'
import { type Counts, finish, none, root, stream } from './counts.ts'

async function solidity(): Promise<Counts> {
  const { status, output } = await stream('forge', ['test'])
  const closing = /(\d+) tests? passed, (\d+) failed, (\d+) skipped \(\d+ total tests?\)/.exec(output)
  if (!closing) return { ...none, failed: 1, failures: ['forge test: it ended without a result'] }
  const [passed = 0, failed = 0, skipped = 0] = closing.slice(1).map(Number)
  const failures = output.split('\n').filter((line) => line.startsWith('[FAIL'))
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed, skipped, failures }
}

async function typescript(): Promise<Counts> {
  const report = new URL('.reports/vitest.json', root)
  const options = ['--reporter=default', '--reporter=json', `--outputFile.json=${report.pathname}`]
  const { status } = await stream('vitest', ['run', ...options, ...process.argv.slice(2)])
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  )
  // A file that fails to load, or an error outside of any test, has no failed test of its own.
  const failed = status !== 0 && numFailedTests === 0 ? 1 : numFailedTests
  const failures = (testResults as TestFile[]).flatMap(failuresOf)
  if (failed > 0 && failures.length === 0) failures.push('vitest: an error outside of any test')
  return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests, failures }
}

type TestFile = {
  name: string
  status: string
  message: string
  assertionResults: { status: string; fullName: string; failureMessages: string[] }[]
}

/** What failed in a file, with the first lines of why. */
function failuresOf({ name, status, message, assertionResults }: TestFile): string[] {
  const file = name.slice(root.pathname.length)
  const failed = assertionResults.filter((test) => test.status === 'failed')
  if (status === 'failed' && failed.length === 0) return [`${file}: ${beginning(message)}`]
  return failed.map(
    ({ fullName, failureMessages }) => `${file}: ${fullName}\n${beginning(failureMessages[0])}`,
  )
}

function beginning(text = ''): string {
  return text.split('\n').slice(0, 12).join('\n').slice(0, 1_500)
}

finish('test', [await solidity(), await typescript()])
