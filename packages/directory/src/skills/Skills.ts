/** Skills as they are kept. */
import { slugOf } from '../register/profileSchema.ts'
import type { Database, Sql } from '../store/Database.ts'
import type { SkillDefinition } from './SkillDefinition.ts'

/** `withdrawn` by its author, who may publish it again; `removed` by an operator. */
export type SkillState = 'draft' | 'published' | 'withdrawn' | 'removed'

export type SkillRecord = {
  id: string
  /** Lower-case address. */
  author: string
  state: SkillState
  definition: SkillDefinition
  /** When its author signed the latest change; milliseconds, as the others. */
  signedAt: number
  createdAt: number
  updatedAt: number
}

export type SkillFilter = {
  category?: string | undefined
  tag?: string | undefined
  /** Part of its title, summary or tags. */
  search?: string | undefined
}

/** Where a page ends. */
export type SkillPosition = { updatedAt: number; id: string }

export type Skills = {
  get(id: string): Promise<SkillRecord | undefined>
  /**
   * Adds a draft under a name made of its title. `used`: its author has signed something later, or this very thing. `many`: the author
   * has as many as one may have. `full`: there are too many drafts, none of them old.
   */
  add(draft: {
    author: string
    definition: SkillDefinition
    signedAt: number
    now: number
  }): Promise<SkillRecord | 'used' | 'many' | 'full'>
  /** Changes one in a transaction, as `change` says; it may be called more than once. `undefined`: it is left as it was. */
  update(
    id: string,
    change: (record: SkillRecord) => Partial<SkillRecord> | undefined,
  ): Promise<SkillRecord | undefined>
  /** Published ones, the latest first. */
  select(
    filter: SkillFilter,
    range: { limit: number; after?: SkillPosition | undefined },
  ): Promise<{ records: SkillRecord[]; total: number; next?: SkillPosition | undefined }>
}

/** Of one author, in any state. */
export const mostOfAuthor = 50
export const mostDrafts = 2_000
/** A draft stays for this long, however many others come; milliseconds. */
export const draftKept = 86_400_000

type Row = Record<string, string | number>

const columns = 'id, author, state, definition, category, words, signed_at, created_at, updated_at'

export function createSkills(database: Database, limits = { mostOfAuthor, mostDrafts }): Skills {
  return {
    get: (id) => read(database, id),
    add: ({ author, definition, signedAt, now }) =>
      database.transaction(async (sql) => {
        const own = await sql.one<{ count: number; latest: number | null }>(
          'SELECT COUNT(*) AS count, MAX(signed_at) AS latest FROM skills WHERE author = $1',
          author,
        )
        if (Number(own?.latest ?? 0) >= signedAt) return 'used'
        if (Number(own?.count ?? 0) >= limits.mostOfAuthor) return 'many'
        if (!(await makeRoom(sql, limits.mostDrafts, now))) return 'full'
        const record: SkillRecord = {
          ...{
            id: await freeId(sql, slugOf(definition.title)),
            author,
            state: 'draft',
            definition,
            signedAt,
          },
          ...{ createdAt: now, updatedAt: now },
        }
        const values = toValues(record)
        const places = values.map((_, index) => `$${index + 1}`).join(', ')
        await sql.run(`INSERT INTO skills (${columns}) VALUES (${places})`, ...values)
        return record
      }),
    update: (id, change) =>
      database.transaction(async (sql) => {
        const record = await read(sql, id)
        const changes = record && change(record)
        if (!record || !changes) return undefined
        const changed = { ...record, ...changes, id }
        const assignments = columns.split(', ').map((column, index) => `${column} = $${index + 1}`)
        await sql.run(`UPDATE skills SET ${assignments.join(', ')} WHERE id = $1`, ...toValues(changed))
        return changed
      }),
    async select({ category, tag, search }, { limit, after }) {
      const values: (string | number)[] = []
      const bind = (value: string | number) => `$${values.push(value)}`
      const like = (text: string) =>
        `words LIKE ${bind(`%${text.toLowerCase().replace(/[!%_]/g, '!$&')}%`)} ESCAPE '!'`
      const wanted = ["state = 'published'"]
      if (category !== undefined) wanted.push(`category = ${bind(category)}`)
      if (tag !== undefined) wanted.push(like(`\n#${tag}\n`))
      if (search !== undefined) wanted.push(like(search))
      const count = await database.one<{ count: number }>(
        `SELECT COUNT(*) AS count FROM skills WHERE ${wanted.join(' AND ')}`,
        ...values,
      )
      if (after) {
        const [time, same] = [bind(after.updatedAt), bind(after.updatedAt)]
        wanted.push(`(updated_at < ${time} OR (updated_at = ${same} AND id > ${bind(after.id)}))`)
      }
      const rows = await database.all<Row>(
        `SELECT ${columns} FROM skills WHERE ${wanted.join(' AND ')} ORDER BY updated_at DESC, id LIMIT ${bind(limit + 1)}`,
        ...values,
      )
      const records = rows.slice(0, limit).map(fromRow)
      const last = records.at(-1)
      const next = rows.length > limit && last ? { updatedAt: last.updatedAt, id: last.id } : undefined
      return { records, total: Number(count?.count ?? 0), ...(next && { next }) }
    },
  }
}

async function read(sql: Sql, id: string): Promise<SkillRecord | undefined> {
  const row = await sql.one<Row>(`SELECT ${columns} FROM skills WHERE id = $1`, id)
  return row && fromRow(row)
}

/** Where there are too many drafts, the oldest go, if they have had their time. */
async function makeRoom(sql: Sql, most: number, now: number): Promise<boolean> {
  const drafts = await sql.one<{ count: number }>(
    "SELECT COUNT(*) AS count FROM skills WHERE state = 'draft'",
  )
  const tooMany = Number(drafts?.count ?? 0) - most + 1
  if (tooMany <= 0) return true
  const dropped = await sql.run(
    `DELETE FROM skills WHERE id IN (SELECT id FROM skills WHERE state = 'draft' AND updated_at < $1
      ORDER BY updated_at, id LIMIT $2)`,
    now - draftKept,
    tooMany,
  )
  return dropped >= tooMany
}

async function freeId(sql: Sql, wanted: string): Promise<string> {
  const isFree = async (id: string) => !(await sql.one('SELECT id FROM skills WHERE id = $1', id))
  if (await isFree(wanted)) return wanted
  const similar = await sql.one<{ count: number }>(
    'SELECT COUNT(*) AS count FROM skills WHERE id LIKE $1',
    `${wanted}-%`,
  )
  for (let number = Number(similar?.count ?? 0) + 2; ; number++) {
    if (await isFree(`${wanted}-${number}`)) return `${wanted}-${number}`
  }
}

function toValues(record: SkillRecord): (string | number)[] {
  const { id, author, state, definition, signedAt, createdAt, updatedAt } = record
  const { title, summary, category = 'other', tags = [] } = definition
  const words = `${title}\n${summary}\n${tags.map((tag) => `#${tag}\n`).join('')}`.toLowerCase()
  return [id, author, state, JSON.stringify(definition), category, words, signedAt, createdAt, updatedAt]
}

function fromRow(row: Row): SkillRecord {
  return {
    id: row.id as string,
    author: row.author as string,
    state: row.state as SkillState,
    definition: JSON.parse(row.definition as string),
    signedAt: Number(row.signed_at),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  }
}
