/** The code blocks of a README, as files that run. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The code block behind `<!-- example: name -->`. */
export function exampleIn(file: URL, name: string): string {
  const code = readFileSync(file, 'utf8')
    .split(`<!-- example: ${name} -->`)[1]
    ?.match(/```ts\n([\s\S]*?)```/)?.[1]
  if (!code) throw new Error(`${file.pathname} has no example "${name}".`)
  return code
}

/** Puts other values where an example has those of the world outside. Every one of them must be there. */
export function substitute(code: string, values: Record<string, string>): string {
  return Object.entries(values).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`The example does not contain ${from}`)
    return text.replaceAll(from, to)
  }, code)
}

/** Runs a file of a folder beside others that it imports. */
export async function runIn<exports>(
  folder: string,
  name: string,
  files: Record<string, string>,
): Promise<exports> {
  for (const [file, code] of Object.entries(files)) writeFileSync(join(folder, file), code)
  return import(/* @vite-ignore */ join(folder, name))
}
