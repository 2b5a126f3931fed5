import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { buildAssets } from '../../scripts/buildAssets.ts'
import { createAssets } from './assets.ts'
import { joinStyles, subjects } from './joinStyles.ts'

const assets = fileURLToPath(new URL('./assets/', import.meta.url))

test('every file of the style is in what is served', () => {
  const files = readdirSync(join(assets, 'styles')).sort()
  expect(files).toEqual(subjects.map((subject) => `${subject}.css`).sort())
})

test('what the build writes is what the sources serve, in one file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'drain-assets-'))
  try {
    await buildAssets(folder)
    const built = readFileSync(join(folder, 'style.css'), 'utf8')
    expect(built).toBe(joinStyles(join(assets, 'styles')))
    expect(
      readdirSync(folder)
        .filter((name) => !/\.js$/.test(name))
        .sort(),
    ).toEqual(['favicon.svg', 'style.css'])
    const addressIn = (place: string) => createAssets([place]).urlOf('style.css')
    expect(addressIn(folder)).toMatch(/^\/assets\/style\.css\?v=[0-9a-f]{12}$/)
    expect(addressIn(assets)).toBe(addressIn(folder))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
