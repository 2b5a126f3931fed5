/** `drain-mcp`: the server, and what sets it up. */
import { parseArgs } from 'node:util'
import { runCommand, type Streams, UsageError } from '@drain/keys/node'
import { version } from '../version.ts'
import { doctor } from './doctor.ts'
import { clients, init } from './init.ts'
import { serveHttp } from './serveHttp.ts'
import { serveOverStdio } from './serveOverStdio.ts'

const usage = `Usage:
  drain-mcp
      Serves MCP over stdin and stdout: what MCP clients start.
  drain-mcp --http [--port <number>]
      Serves MCP at http://127.0.0.1:8358/mcp, to whoever has the token.
  drain-mcp init [<client>] [--key new|<keystore>] [--print]
      Writes an MCP client's configuration: ${clients.join(', ')}.
      --key new makes a wallet in an encrypted keystore. --print shows what would be written.
  drain-mcp doctor [<client>] [--json]
      Checks key, node, balances, allowance and directory, with the settings that a client has, or those of the environment.
Environment:
  DRAIN_PRIVATE_KEY        the wallet's key, or DRAIN_KEYSTORE (an encrypted keystore's file) with DRAIN_KEYSTORE_PASSWORD_FILE
  DRAIN_MAX_PER_REQUEST    0.05 USDC by default; DRAIN_MAX_PER_CHANNEL, 1; DRAIN_MAX_PER_DAY, 2
  DRAIN_ALLOWED_PROVIDERS  origins and addresses that may be paid, with commas between them; everybody by default
  DRAIN_CHAIN_ID           137 (Polygon) by default; DRAIN_RPC_URL, a node; DRAIN_CONTRACT_ADDRESS and DRAIN_USDC_ADDRESS
  DRAIN_DIRECTORY_URL      where providers are listed; https://handshake58.com by default
  DRAIN_MPP_METHODS        how single requests are paid: evm by default, tempo, or both with a comma
  DRAIN_STATE_DIR          where channels are kept, ~/.drain by default
  DRAIN_MCP_TOKEN          the token for --http; one is made and shown by default
  DRAIN_TELEMETRY          1 tells the directory how requests went (never who asked); nothing by default
Exit codes: 0 done, 1 failed, 2 not understood.
`

/** Runs one command and returns the process's exit code. */
export function main(args: string[], streams: Streams): Promise<0 | 1 | 2> {
  return runCommand(usage, streams, () => run(args, streams))
}

async function run(args: string[], streams: Streams): Promise<0 | 1> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
      http: { type: 'boolean' },
      port: { type: 'string' },
      key: { type: 'string' },
      print: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const { help, http, port, key, print, json } = values
  if (help || values.version) {
    streams.stdout.write(help ? usage : `${version}\n`)
    return 0
  }
  const [command, client, ...rest] = positionals
  if (rest.length > 0) throw new UsageError(`There is no place for "${rest[0]}".`)
  if (command === 'init') return init({ client, key, print: print ?? false }, process.env, streams)
  if (command === 'doctor') return doctor({ client, json: json ?? false }, process.env, streams)
  if (command !== undefined) throw new UsageError('The commands are init and doctor; without one it serves.')
  if (!http) return serveOverStdio(process.env, streams)
  return serveHttp({ port: portOf(port) }, process.env, streams)
}

function portOf(text = '8358'): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError('--port is a number up to 65535.')
}
