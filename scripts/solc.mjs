#!/usr/bin/env node
// The Solidity compiler for forge, which cannot download one here: solc-js (WebAssembly), pinned by the lockfile.
// forge asks for two things only: `--version`, and `--standard-json` from stdin to stdout.
import { readFileSync, writeSync } from 'node:fs'
import solc from 'solc'

if (process.argv.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`)
} else if (process.argv.includes('--standard-json')) {
  const output = Buffer.from(solc.compile(readFileSync(0, 'utf8')))
  for (let written = 0; written < output.length; ) written += writeSync(1, output, written)
} else {
  console.error('usage: solc.mjs --version | --standard-json')
  process.exitCode = 1
}
