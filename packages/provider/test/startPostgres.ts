import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'

/** A PostgreSQL server of one's own, in a temporary folder, reached through a Unix socket. */
export type Postgres = {
  folder: string
  /** As the role `drain`, which may create schemas in the database `drain` and nothing else. */
  connection: { host: string; user: string; database: string }
  /** One statement as the superuser. */
  sql<row = Record<string, unknown>>(text: string, database?: string): Promise<row[]>
  /** Runs one of PostgreSQL's programs against it, as its own user, and returns what it printed. */
  tool(name: string, ...args: string[]): string
  /** `immediate`: as in a crash, without writing anything down. The main process, whose children end with it. */
  stop(how: 'fast' | 'immediate'): Promise<void>
  /** Again, with more settings than the first time. */
  start(settings?: Record<string, string>): Promise<void>
  /** Makes every process of the server stand still, or go on. */
  pause(): void
  resume(): void
  /** Stops it and removes everything. */
  close(): Promise<void>
}

/** Where PostgreSQL's programs are, or undefined: Debian keeps them out of the way. */
export const postgresBin = findBin()

if (!postgresBin)
  console.warn(
    'SKIPPED: the tests of the PostgreSQL ledger need Linux and PostgreSQL. On Debian: apt-get install postgresql',
  )

/** @throws Error when `postgresBin` is undefined. */
export async function startPostgres(settings: Record<string, string> = {}): Promise<Postgres> {
  if (!postgresBin) throw new Error('PostgreSQL is not installed')
  const bin = postgresBin
  const folder = mkdtempSync(join(tmpdir(), 'drain-pg-'))
  const user = ownUser()
  if (user) chownSync(folder, user.uid, user.gid)
  const run = (name: string, args: string[]) =>
    execFileSync(join(bin, name), args, {
      ...user,
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const data = join(folder, 'data')
  run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'])

  const options = {
    listen_addresses: '',
    unix_socket_directories: folder,
    autovacuum_naptime: '1',
    ...settings,
  }
  let server: ChildProcess | undefined
  const kill = () => server?.kill('SIGQUIT')
  process.on('exit', kill)

  async function start(more: Record<string, string> = {}): Promise<void> {
    const args = Object.entries({ ...options, ...more }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...args], {
      ...user,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    server = child
    const lines: string[] = []
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (lines.length < 1000) lines.push(line)
        if (line.includes('database system is ready to accept connections')) resolve()
      })
      child.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${lines.join('\n')}`)))
    })
  }

  async function stop(how: 'fast' | 'immediate'): Promise<void> {
    if (!server || server.exitCode !== null) return
    const gone = once(server, 'exit')
    server.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await gone
  }

  async function sql<row>(text: string, database = 'postgres'): Promise<row[]> {
    const client = new pg.Client({ host: folder, user: 'postgres', database })
    await client.connect()
    try {
      return (await client.query(text)).rows as row[]
    } finally {
      await client.end()
    }
  }

  function signal(name: NodeJS.Signals): void {
    const main = server?.pid
    if (main === undefined) return
    for (const pid of [main, ...childrenOf(main)]) process.kill(pid, name)
  }

  await start()
  await sql('CREATE ROLE drain LOGIN')
  await sql('CREATE DATABASE drain OWNER drain')
  return {
    folder,
    connection: { host: folder, user: 'drain', database: 'drain' },
    sql,
    tool: (name, ...args) => run(name, ['-h', folder, '-U', 'postgres', ...args]),
    stop,
    start,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async close() {
      await stop('immediate')
      process.off('exit', kill)
      rmSync(folder, { recursive: true })
    },
  }
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package has made. */
function ownUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))
  if (!entry) throw new Error('There is no user postgres to run the server as.')
  return { uid: Number(entry[1]), gid: Number(entry[2]) }
}

function findBin(): string | undefined {
  // What the tests do to the server, they do in Linux's way.
  if (process.platform !== 'linux') return undefined
  const debian = '/usr/lib/postgresql'
  const versions = list(debian).sort((a, b) => Number(b) - Number(a))
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ]
  return folders.find((folder) => isRunnable(join(folder, 'initdb')) && isRunnable(join(folder, 'postgres')))
}

function isRunnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
}
