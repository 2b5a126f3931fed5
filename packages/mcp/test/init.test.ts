/** What `init` writes, keeps, refuses and says. Real files, in a home of its own for each test. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Keystore, loadKey, runCommand } from '@drain/keys/node'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { init } from '../src/cli/init.ts'
import { main } from '../src/cli/main.ts'
import { collect } from './collect.ts'

let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'drain-init-'))
})

afterEach(() => {
  rmSync(home, { recursive: true })
})

type Env = Record<string, string | undefined>
type Ran = { code: number; stdout: string; stderr: string; all: string }

/** As the command line runs it. */
async function run(
  client: string | undefined,
  options: { key?: string; print?: boolean; env?: Env; platform?: NodeJS.Platform } = {},
): Promise<Ran> {
  const { key, print = false, env = {}, platform = 'linux' } = options
  const { written, streams } = collect()
  const code = await runCommand('Usage: …\n', streams, () =>
    init({ client, key, print }, env, streams, { home, platform }),
  )
  return { code, ...written, all: written.stdout + written.stderr }
}

const cursorFile = () => join(home, '.cursor', 'mcp.json')

function put(file: string, text: string): string {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8'))
const drainOf = (file: string) => readJson(file).mcpServers.drain
const modeOf = (file: string) => statSync(file).mode & 0o777

/** Everything below the home, with what it says. */
function everything(): Record<string, string> {
  const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [
      join(parentPath, name),
      readFileSync(join(parentPath, name), 'utf8'),
    ]),
  )
}

describe('where', () => {
  test.each<[string, NodeJS.Platform, Env, string]>([
    ['cursor', 'linux', {}, '.cursor/mcp.json'],
    ['cursor', 'win32', {}, '.cursor/mcp.json'],
    ['windsurf', 'darwin', {}, '.codeium/windsurf/mcp_config.json'],
    ['claude', 'darwin', {}, 'Library/Application Support/Claude/claude_desktop_config.json'],
    ['claude', 'linux', {}, '.config/Claude/claude_desktop_config.json'],
    ['claude', 'win32', {}, 'AppData/Roaming/Claude/claude_desktop_config.json'],
    ['claude', 'win32', { APPDATA: 'elsewhere' }, 'elsewhere/Claude/claude_desktop_config.json'],
    ['claude', 'linux', { XDG_CONFIG_HOME: 'elsewhere' }, 'elsewhere/Claude/claude_desktop_config.json'],
    [
      'cline',
      'darwin',
      {},
      'Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json',
    ],
    [
      'cline',
      'linux',
      {},
      '.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json',
    ],
  ])('%s on %s', async (client, platform, given, path) => {
    const env = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, join(home, value ?? '')]),
    )
    const { code, stdout } = await run(client, { platform, env })
    expect(code).toBe(0)
    expect(stdout).toContain(`Wrote ${join(home, path)}`)
    expect(stdout).toContain('was not found on this machine')
    expect(readJson(join(home, path))).toEqual({
      mcpServers: { drain: { command: 'npx', args: ['-y', 'drain-mcp'], env: {} } },
    })
    expect(modeOf(join(home, path))).toBe(0o600)
  })

  test('without a client: which there are, the commands, the entry; and nothing is written', async () => {
    mkdirSync(join(home, '.cursor'))
    const { code, stdout, stderr } = await run(undefined)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('On this machine: Cursor.')
    for (const client of ['cursor', 'claude', 'cline', 'windsurf', 'openai-agents', 'generic'])
      expect(stdout).toContain(`drain-mcp init ${client}`)
    expect(stdout).toContain('"args": [')
    expect(everything()).toEqual({})
  })

  test('generic: JSON alone on stdout', async () => {
    const { code, stdout, stderr } = await run('generic', { env: { DRAIN_MAX_PER_DAY: '5' } })
    expect(code).toBe(0)
    expect(JSON.parse(stdout).mcpServers.drain.env).toEqual({ DRAIN_MAX_PER_DAY: '5' })
    expect(stderr).toContain('There is no key yet')
    expect(everything()).toEqual({})
  })

  test('openai-agents: code in Python and TypeScript that takes secrets from its environment', async () => {
    const env = {
      DRAIN_PRIVATE_KEY: generatePrivateKey(),
      DRAIN_RPC_URL: 'https://node.example/secret',
      DRAIN_MAX_PER_DAY: '5',
    }
    const { code, stdout, all } = await run('openai-agents', { env })
    expect(code).toBe(0)
    expect(stdout).toContain('from agents.mcp import MCPServerStdio')
    expect(stdout).toContain('"DRAIN_PRIVATE_KEY": os.environ["DRAIN_PRIVATE_KEY"],')
    expect(stdout).toContain(`"DRAIN_RPC_URL": process.env.DRAIN_RPC_URL ?? '',`)
    expect(stdout).toContain('"DRAIN_MAX_PER_DAY": "5",')
    expect(all).not.toContain(env.DRAIN_PRIVATE_KEY)
    expect(all).not.toContain('secret')
  })

  test('an unknown client is a question, not a failure', async () => {
    const { code, stderr } = await run('emacs')
    expect(code).toBe(2)
    expect(stderr).toContain('generic is for all others')
  })
})

describe('settings', () => {
  test('those that differ from the usual ones are copied; no key, token, or node’s URL is shown', async () => {
    const key = generatePrivateKey()
    const { code, all } = await run('cursor', {
      env: {
        DRAIN_PRIVATE_KEY: key,
        DRAIN_MCP_TOKEN: 'a-token-of-some-length',
        DRAIN_TELEMETRY: '1',
        DRAIN_CHAIN_ID: '80002',
        DRAIN_RPC_URL: 'https://node.example/secret',
        DRAIN_MAX_PER_REQUEST: '0.05',
        DRAIN_MAX_PER_DAY: '7',
        DRAIN_MAX_PER_CHANNEL: '',
        DRAIN_ALLOWED_PROVIDERS: 'https://api.example',
        DRAIN_DIRECTORY_URL: 'https://handshake58.com',
        DRAIN_MPP_METHODS: 'tempo',
        HOME: home,
      },
    })
    expect(code).toBe(0)
    expect(drainOf(cursorFile()).env).toEqual({
      DRAIN_MAX_PER_DAY: '7',
      DRAIN_ALLOWED_PROVIDERS: 'https://api.example',
      DRAIN_CHAIN_ID: '80002',
      DRAIN_RPC_URL: 'https://node.example/secret',
      DRAIN_MPP_METHODS: 'tempo',
    })
    expect(all + JSON.stringify(everything())).not.toContain(key.slice(2))
    expect(all).not.toContain('secret')
    expect(all).toContain('DRAIN_PRIVATE_KEY is set here, and was not copied')
  })

  test('a folder is written as the client will find it', async () => {
    await run('cursor', { env: { DRAIN_STATE_DIR: 'state' } })
    expect(drainOf(cursorFile()).env).toEqual({ DRAIN_STATE_DIR: join(process.cwd(), 'state') })
  })

  test.each([
    ['DRAIN_MAX_PER_DAY', 'much'],
    ['DRAIN_CHAIN_ID', '5'],
    ['DRAIN_MPP_METHODS', 'cash'],
    ['DRAIN_ALLOWED_PROVIDERS', `0x${'07'.repeat(32)}`],
  ])('%s that the server would refuse is not written, and no key is made', async (name, value) => {
    const { code, stderr } = await run('cursor', { key: 'new', env: { [name]: value } })
    expect(code).toBe(1)
    expect(stderr).not.toContain('07'.repeat(32))
    expect(everything()).toEqual({})
  })
})

describe('a file that is there', () => {
  test('keeps every other character; a copy of the first stands beside it', async () => {
    const text =
      '{\r\n\t"theme" : "dark",\r\n\t"big": 12345678901234567890, "escaped": "\\u00e9\\"}{",\r\n\t"mcpServers": {\r\n\t\t"other": { "command": "x", "args": [ "]" ] }\r\n\t},\r\n\t"last": [1, {}]\r\n}\r\n'
    put(cursorFile(), text)
    chmodSync(cursorFile(), 0o640)
    expect(await run('cursor')).toMatchObject({ code: 0 })
    const fresh = readFileSync(cursorFile(), 'utf8')
    expect(drainOf(cursorFile()).command).toBe('npx')
    const added = /,\r\n\t\t"drain": \{[^}]*\{\}\r\n\t\t\}/
    expect(fresh.replace(added, '')).toBe(text)
    expect(fresh.replaceAll('\r\n', '')).not.toContain('\n')
    expect(modeOf(cursorFile())).toBe(0o640)
    expect(readFileSync(`${cursorFile()}.bak`, 'utf8')).toBe(text)
    expect(modeOf(`${cursorFile()}.bak`)).toBe(0o640)
    expect(readdirSync(dirname(cursorFile())).sort()).toEqual(['mcp.json', 'mcp.json.bak'])
  })

  test.each([
    '',
    ' \n',
    '{}',
    '{ }',
    '{"mcpServers":{}}',
    '\uFEFF{"a":1}',
    '{"mcpServers":{},"mcpServers":{"b":{}}}',
  ])('%j gets the entry', async (text) => {
    put(cursorFile(), text)
    expect(await run('cursor')).toMatchObject({ code: 0 })
    const fresh = readFileSync(cursorFile(), 'utf8')
    expect(fresh.startsWith('\uFEFF')).toBe(text.startsWith('\uFEFF'))
    const { mcpServers, ...rest } = JSON.parse(fresh.replace('\uFEFF', ''))
    expect(mcpServers.drain).toEqual({ command: 'npx', args: ['-y', 'drain-mcp'], env: {} })
    expect({ ...mcpServers, ...rest, drain: undefined }).toEqual(
      text.includes('a') ? { a: 1 } : text.includes('"b"') ? { b: {} } : {},
    )
  })

  test('an entry is replaced; values of it that are not set now, and what the client put in, stay', async () => {
    const kept = {
      FOO: 'bar',
      DRAIN_MAX_PER_DAY: '9',
      DRAIN_MAX_PER_REQUEST: '0.5',
      DRAIN_RPC_URL: 'https://node.example/secret',
    }
    const drain = {
      url: 'https://old.example',
      type: 'http',
      disabled: true,
      autoApprove: ['drain_balance'],
      env: kept,
    }
    put(cursorFile(), JSON.stringify({ mcpServers: { other: { command: 'x' }, drain } }))
    const { code, all } = await run('cursor', {
      env: { DRAIN_MAX_PER_DAY: '3', DRAIN_MAX_PER_REQUEST: '0.05' },
    })
    expect(code).toBe(0)
    expect(readJson(cursorFile())).toEqual({
      mcpServers: {
        other: { command: 'x' },
        drain: {
          command: 'npx',
          args: ['-y', 'drain-mcp'],
          disabled: true,
          autoApprove: ['drain_balance'],
          // What is set now counts, even where it is the usual value.
          env: { ...kept, DRAIN_MAX_PER_DAY: '3', DRAIN_MAX_PER_REQUEST: '0.05' },
        },
      },
    })
    expect(all).not.toContain('secret')
    const shown = await run('cursor', { print: true })
    expect(shown.stdout).toContain('"DRAIN_RPC_URL": "(not shown)"')
    expect(shown.all).not.toContain('secret')
  })

  test('twice is as once', async () => {
    put(cursorFile(), '{"first": true}')
    await run('cursor', { env: { DRAIN_MAX_PER_DAY: '3' } })
    const once = everything()
    const { code, stdout } = await run('cursor', { env: { DRAIN_MAX_PER_DAY: '3' } })
    expect(code).toBe(0)
    expect(stdout).toContain('nothing was changed')
    expect(everything()).toEqual(once)
  })

  test('each change keeps a copy of what was there, and says where', async () => {
    const texts = ['{"first": true}']
    put(cursorFile(), texts[0] ?? '')
    for (const [index, name] of ['mcp.json.bak', 'mcp.json.bak.2', 'mcp.json.bak.3'].entries()) {
      const { stdout } = await run('cursor', { env: { DRAIN_MAX_PER_DAY: String(index + 3) } })
      expect(stdout).toContain(`How the file was before is in ${join(dirname(cursorFile()), name)}.\n`)
      texts.push(readFileSync(cursorFile(), 'utf8'))
    }
    const copies = ['.bak', '.bak.2', '.bak.3'].map((end) => readFileSync(cursorFile() + end, 'utf8'))
    expect(copies).toEqual(texts.slice(0, 3))
    expect(readdirSync(dirname(cursorFile()))).toHaveLength(4)
  })

  test.each([
    { command: 'docker', args: ['run', '-e', 'TOKEN=secret', 'drain-mcp'] },
    { command: 'npx', args: ['-y', 'drain-mcp@1'] },
    { url: 'https://drain.example/secret' },
  ])('an entry that starts the server in another way is replaced, and that is said: %j', async (drain) => {
    const text = JSON.stringify({ mcpServers: { drain } })
    put(cursorFile(), text)
    const planned = await run('cursor', { print: true })
    expect(planned.stdout).toContain(
      'starts the server in another way (command, args or url). It would be replaced.',
    )
    const done = await run('cursor')
    expect(done.stdout).toContain('Its entry started the server in another way')
    expect(planned.all + done.all).not.toContain('secret')
    expect(drainOf(cursorFile())).toEqual({ command: 'npx', args: ['-y', 'drain-mcp'], env: {} })
    expect(readFileSync(`${cursorFile()}.bak`, 'utf8')).toBe(text)
    expect((await run('cursor', { env: { DRAIN_MAX_PER_DAY: '3' } })).stdout).not.toContain('another way')
  })

  test.each<[string, number, Env, NodeJS.Platform, string | undefined]>([
    ['a node’s key', 0o644, { DRAIN_RPC_URL: 'https://node.example/v2/secret' }, 'linux', '644'],
    ['one in the query', 0o640, { DRAIN_RPC_URL: 'https://node.example/?key=secret' }, 'darwin', '640'],
    ['one of its owner’s alone', 0o600, { DRAIN_RPC_URL: 'https://node.example/secret' }, 'linux', undefined],
    ['a node without a key', 0o644, { DRAIN_RPC_URL: 'https://node.example' }, 'linux', undefined],
    ['no node', 0o644, {}, 'linux', undefined],
    [
      'a mode that means nothing',
      0o644,
      { DRAIN_RPC_URL: 'https://node.example/secret' },
      'win32',
      undefined,
    ],
  ])('that others can read, and %s', async (_, mode, env, platform, told) => {
    put(cursorFile(), '{}')
    chmodSync(cursorFile(), mode)
    const { stdout, all } = await run('cursor', { env, platform })
    if (told === undefined) expect(all).not.toContain('chmod')
    else {
      expect(stdout).toContain(`Others on this machine can read ${cursorFile()} (mode ${told})`)
      expect(stdout).toContain('DRAIN_RPC_URL')
    }
    expect(all).not.toContain('secret')
    expect(modeOf(cursorFile())).toBe(mode)
  })

  test.each([
    ['comments', '{\n  // mine\n  "mcpServers": {}\n}'],
    ['a comma too many', '{"mcpServers": {},}'],
    ['half of it', '{"mcpServers": {'],
    ['a list', '[]'],
    ['null', 'null'],
    ['servers that are a list', '{"mcpServers": []}'],
    ['servers that are null', '{"mcpServers": null}'],
    ['an entry that is text', '{"mcpServers": {"drain": "npx drain-mcp"}}'],
    ['an entry that is null', '{"mcpServers": {"drain": null}}'],
    ['values that are numbers', '{"mcpServers": {"drain": {"env": {"DRAIN_CHAIN_ID": 137}}}}'],
  ])('%s: is not touched; what to add is said', async (_, text) => {
    put(cursorFile(), text)
    const { code, stdout, stderr } = await run('cursor')
    expect(code).toBe(1)
    expect(stderr).toContain('left as it is')
    expect(JSON.parse(stdout).mcpServers.drain.command).toBe('npx')
    expect(everything()).toEqual({ [cursorFile()]: text })
  })

  test('a link is followed, and stays one', async () => {
    const real = put(join(home, 'dotfiles', 'cursor.json'), '{"mcpServers":{}}')
    mkdirSync(dirname(cursorFile()))
    symlinkSync(real, cursorFile())
    expect(await run('cursor')).toMatchObject({ code: 0 })
    expect(lstatSync(cursorFile()).isSymbolicLink()).toBe(true)
    expect(drainOf(real).command).toBe('npx')
    expect(readdirSync(dirname(real))).toEqual(['cursor.json'])
    expect(existsSync(`${cursorFile()}.bak`)).toBe(true)
  })

  test('a link to nothing is not touched', async () => {
    mkdirSync(dirname(cursorFile()))
    symlinkSync(join(home, 'gone.json'), cursorFile())
    expect(await run('cursor')).toMatchObject({ code: 1 })
    expect(everything()).toEqual({})
  })

  test('--print shows the entry and writes nothing, no key either', async () => {
    put(cursorFile(), '{"mcpServers":{"other":{"env":{"TOKEN":"secret"}}}}')
    const before = everything()
    const { code, stdout, all } = await run('cursor', { key: 'new', print: true })
    expect(code).toBe(0)
    expect(stdout).toContain(cursorFile())
    expect(stdout).toContain(join(home, '.drain', 'wallet.json'))
    expect(stdout).toContain('A new wallet would be made')
    expect(all).not.toContain('secret')
    expect(everything()).toEqual(before)
  })
})

describe('wallets', () => {
  const walletFile = () => join(home, '.drain', 'wallet.json')
  const passwordFile = () => join(home, '.drain', 'wallet.password')

  test('--key new makes one that the entry’s settings open, for its owner alone', async () => {
    const { code, all, stdout } = await run('cursor', { key: 'new' })
    expect(code).toBe(0)
    const { env } = drainOf(cursorFile())
    expect(env).toEqual({ DRAIN_KEYSTORE: walletFile(), DRAIN_KEYSTORE_PASSWORD_FILE: passwordFile() })
    const { address } = await loadKey({ env })
    expect(stdout).toContain(`New wallet: ${address}`)
    expect(stdout).toContain(`Address to fund: ${address}`)
    expect(stdout).toContain('USDC on Polygon')
    expect(stdout).toContain('It does not protect from programs that run as you')
    expect(stdout).toContain('npx -y drain-mcp doctor cursor')
    expect([modeOf(walletFile()), modeOf(passwordFile()), modeOf(dirname(walletFile()))]).toEqual([
      0o600, 0o600, 0o700,
    ])
    expect(readdirSync(dirname(walletFile())).sort()).toEqual(['wallet.json', 'wallet.password'])
    const password = readFileSync(passwordFile(), 'utf8').trim()
    expect(password.length).toBeGreaterThanOrEqual(43)
    const key = Keystore.decrypt(Keystore.parse(readFileSync(walletFile(), 'utf8')), password)
    expect(all).not.toContain(password)
    expect(all + JSON.stringify(everything())).not.toContain(key.slice(2))
  })

  test('one that is there is used, and said to be', async () => {
    await run('cursor', { key: 'new' })
    const { address } = await loadKey({ env: drainOf(cursorFile()).env })
    const before = readFileSync(walletFile(), 'utf8')
    const { code, stdout } = await run('windsurf', { key: 'new' })
    expect(code).toBe(0)
    expect(stdout).toContain(`Wallet that was there already: ${address}`)
    expect(readFileSync(walletFile(), 'utf8')).toBe(before)
  })

  test('two at once agree on one', async () => {
    const [one, other] = await Promise.all([run('cursor', { key: 'new' }), run('windsurf', { key: 'new' })])
    const addressOf = ({ stdout }: Ran) => /Address to fund: (0x\w+)/.exec(stdout)?.[1]
    expect(addressOf(one)).toMatch(/^0x/)
    expect(addressOf(one)).toBe(addressOf(other))
  })

  test('DRAIN_STATE_DIR is where it goes', async () => {
    const env = { DRAIN_STATE_DIR: join(home, 'elsewhere') }
    await run('cursor', { key: 'new', env })
    expect(drainOf(cursorFile()).env).toMatchObject({
      ...env,
      DRAIN_KEYSTORE: join(home, 'elsewhere', 'wallet.json'),
    })
  })

  test('one whose password is missing is left alone', async () => {
    await run('cursor', { key: 'new' })
    rmSync(passwordFile())
    const before = everything()
    const { code, stderr } = await run('windsurf', { key: 'new' })
    expect(code).toBe(1)
    expect(stderr).toContain('wallet.password')
    expect(everything()).toEqual(before)
  })

  test('--key <keystore> with a password file; without one it says what is missing', async () => {
    const key = generatePrivateKey()
    const keystore = put(join(home, 'mine.json'), Keystore.encrypt(key, 'pass'))
    const file = put(join(home, 'mine.password'), 'pass\n')
    const bare = await run('cursor', { key: keystore })
    expect(bare.code).toBe(0)
    expect(bare.stdout).toContain("An MCP client can't type its password")
    expect(drainOf(cursorFile()).env).toEqual({ DRAIN_KEYSTORE: keystore })
    const whole = await run('cursor', { key: keystore, env: { DRAIN_KEYSTORE_PASSWORD_FILE: file } })
    expect(whole.stdout).toContain(`Address to fund: ${privateKeyToAddress(key)}`)
    expect(drainOf(cursorFile()).env).toEqual({
      DRAIN_KEYSTORE: keystore,
      DRAIN_KEYSTORE_PASSWORD_FILE: file,
    })
    // Another keystore doesn't get this one's password.
    const other = put(join(home, 'other.json'), Keystore.encrypt(generatePrivateKey(), 'other'))
    await run('cursor', { env: { DRAIN_KEYSTORE: other } })
    expect(drainOf(cursorFile()).env).toEqual({ DRAIN_KEYSTORE: other })
  })

  test('a file that is no keystore, or a wrong password: nothing is written', async () => {
    const other = put(join(home, 'mine.json'), '{}')
    expect(await run('cursor', { key: other })).toMatchObject({ code: 1 })
    expect(await run('cursor', { key: join(home, 'none.json') })).toMatchObject({ code: 1 })
    put(other, Keystore.encrypt(generatePrivateKey(), 'pass'))
    const file = put(join(home, 'mine.password'), 'wrong')
    expect(await run('cursor', { key: other, env: { DRAIN_KEYSTORE_PASSWORD_FILE: file } })).toMatchObject({
      code: 1,
    })
    expect(existsSync(cursorFile())).toBe(false)
  })

  test('a key as an argument is refused, and not repeated', async () => {
    const key = generatePrivateKey()
    const { code, all } = await run('cursor', { key })
    expect(code).toBe(2)
    expect(all).not.toContain(key.slice(2))
  })

  test('an entry with a plain key is not given a second one', async () => {
    const key = generatePrivateKey()
    const text = JSON.stringify({
      mcpServers: { drain: { command: 'npx', env: { DRAIN_PRIVATE_KEY: key } } },
    })
    put(cursorFile(), text)
    const refused = await run('cursor', { key: 'new' })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('DRAIN_PRIVATE_KEY already')
    expect(everything()).toEqual({ [cursorFile()]: text })
    const kept = await run('cursor')
    expect(kept.stdout).toContain('The wallet stays the one')
    expect(drainOf(cursorFile()).env).toEqual({ DRAIN_PRIVATE_KEY: key })
    expect(refused.all + kept.all).not.toContain(key.slice(2))
  })

  test('an entry with another keystore keeps it: --key new says what to do, and makes nothing', async () => {
    const keystore = put(join(home, 'mine.json'), Keystore.encrypt(generatePrivateKey(), 'pass'))
    const file = put(join(home, 'mine.password'), 'pass\n')
    await run('cursor', { key: keystore, env: { DRAIN_KEYSTORE_PASSWORD_FILE: file } })
    const before = everything()
    for (const print of [false, true]) {
      const { code, stderr } = await run('cursor', { key: 'new', print })
      expect(code).toBe(1)
      expect(stderr).toContain(`has the keystore ${keystore} already`)
    }
    expect(everything()).toEqual(before)
  })

  test('two keys in the environment: which one is asked', async () => {
    const env = { DRAIN_PRIVATE_KEY: generatePrivateKey(), DRAIN_KEYSTORE: 'x' }
    expect(await run('cursor', { env })).toMatchObject({ code: 1 })
    expect(everything()).toEqual({})
  })

  test('a damaged configuration and --key new: the wallet is made, and the entry to add names it', async () => {
    put(cursorFile(), '{ // mine\n}')
    const { code, stdout, stderr } = await run('cursor', { key: 'new' })
    expect(code).toBe(1)
    const { env } = JSON.parse(stdout).mcpServers.drain
    expect(stderr).toContain((await loadKey({ env })).address)
    expect(readFileSync(cursorFile(), 'utf8')).toBe('{ // mine\n}')
  })
})

test('is a command', async () => {
  const { written, streams } = collect()
  expect(await main(['init', 'generic', '--print'], streams)).toBe(0)
  expect(JSON.parse(written.stdout)).toHaveProperty('mcpServers.drain')
  expect(await main(['init', 'nobody'], streams)).toBe(2)
})
