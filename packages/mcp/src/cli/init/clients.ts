/** MCP clients, and where each keeps its configuration. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Whose files they are. */
export type Machine = {
  home: string
  platform: NodeJS.Platform
  env: Record<string, string | undefined>
}

export type FileClient = {
  title: string
  /** The file that the client reads. */
  file(machine: Machine): string
  /** A folder that the client itself makes: where it is, the client is. */
  folder(machine: Machine): string
  /** How it takes notice. */
  restart: string
}

const cursor: FileClient = {
  title: 'Cursor',
  file: ({ home }) => join(home, '.cursor', 'mcp.json'),
  folder: ({ home }) => join(home, '.cursor'),
  restart: 'Restart Cursor, or turn "drain" off and on in its MCP settings.',
}

const claude: FileClient = {
  title: 'Claude Desktop',
  file: (machine) => join(claude.folder(machine), 'claude_desktop_config.json'),
  folder: (machine) => join(applicationData(machine), 'Claude'),
  restart: 'Quit Claude Desktop (closing the window is not enough), and start it again.',
}

const cline: FileClient = {
  title: 'Cline',
  file: (machine) => join(cline.folder(machine), 'settings', 'cline_mcp_settings.json'),
  folder: (machine) =>
    join(applicationData(machine), 'Code', 'User', 'globalStorage', 'saoudrizwan.claude-dev'),
  restart: 'Cline notices by itself; else restart "drain" in its list of MCP servers.',
}

const windsurf: FileClient = {
  title: 'Windsurf',
  file: (machine) => join(windsurf.folder(machine), 'mcp_config.json'),
  folder: ({ home }) => join(home, '.codeium', 'windsurf'),
  restart: 'Press refresh in the list of MCP servers of Cascade, or restart Windsurf.',
}

/** Those whose file is written. */
export const fileClients: Readonly<Record<string, FileClient>> = { cursor, claude, cline, windsurf }

/** All by which `init` can be called; the last two get text to copy. */
export const clients = [...Object.keys(fileClients), 'openai-agents', 'generic']

/** @returns `undefined` for those that have no file */
export function findFileClient(name: string): FileClient | undefined {
  return Object.hasOwn(fileClients, name) ? fileClients[name] : undefined
}

export function isInstalled(client: FileClient, machine: Machine): boolean {
  return existsSync(client.folder(machine)) || existsSync(dirname(client.file(machine)))
}

/** Where programs keep what is theirs. */
function applicationData({ home, platform, env }: Machine): string {
  if (platform === 'darwin') return join(home, 'Library', 'Application Support')
  if (platform === 'win32') return env.APPDATA || join(home, 'AppData', 'Roaming')
  return env.XDG_CONFIG_HOME || join(home, '.config')
}
