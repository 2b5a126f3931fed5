export { type Agent, createAgent, type Purse } from './createAgent.ts'
export { createServer } from './createServer.ts'
export { type McpSettings, readMcpSettings } from './settings.ts'
