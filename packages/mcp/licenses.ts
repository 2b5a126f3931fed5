/** Gathers the licenses of what a build has taken in, from its metafile, into one text. */
import { readdirSync, readFileSync } from 'node:fs'

/** @param metafile esbuild's. @param root The folder that its paths are relative to. */
export function licensesOf(metafile: string, root: string): string {
  const inputs = Object.keys(JSON.parse(readFileSync(metafile, 'utf8')).inputs)
  const folders = new Set(
    inputs.flatMap((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(1, 2) ?? []),
  )
  const texts = new Map<string, string>()
  for (const folder of folders) {
    const path = `${root}/${folder}`
    const { name, version, license } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'))
    const file = readdirSync(path).find((one) => /^licen[cs]e/i.test(one))
    const text = file ? readFileSync(`${path}/${file}`, 'utf8').trim() : `License: ${license}`
    texts.set(`${name} ${version}`, text)
  }
  const sections = [...texts].sort().map(([name, text]) => `${name}\n\n${text}\n`)
  return `drain-mcp contains these packages:\n\n${sections.join(`\n${'-'.repeat(80)}\n\n`)}`
}
