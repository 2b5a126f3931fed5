export type { ChainSettings, FundSettings, Settings } from './settings.ts'
export type { SkillDefinition } from './skills/SkillDefinition.ts'
export { type Directory, type StartOptions, startDirectory } from './startDirectory.ts'
export type { Database } from './store/Database.ts'
