/** The examples of the README, as files that run against a private chain. */
import { readFileSync } from 'node:fs'

/** The code block behind `<!-- example: name -->`, of the project's README or another one. */
export function readmeExample(name: string, file = '../../../README.md'): string {
  const readme = readFileSync(new URL(file, import.meta.url), 'utf8')
  const code = readme.split(`<!-- example: ${name} -->`)[1]?.match(/```ts\n([\s\S]*?)```/)?.[1]
  if (!code) throw new Error(`${file} has no example "${name}".`)
  return code
}

/** Puts other values where an example has those of the world outside. Every one of them must be there. */
export function substitute(code: string, values: Record<string, string>): string {
  return Object.entries(values).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`The example does not contain ${from}`)
    return text.replaceAll(from, to)
  }, code)
}
