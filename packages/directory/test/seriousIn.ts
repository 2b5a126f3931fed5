import axe from 'axe-core'
import type { Page } from 'playwright-core'

/** What somebody could not read or use of a page, as axe sees it: rule, and where. */
export async function seriousIn(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { axe: tester } = window as unknown as { axe: typeof axe }
    const { violations } = await tester.run({ resultTypes: ['violations'] })
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical' || impact === 'moderate')
      .flatMap(({ id, nodes }) =>
        nodes.slice(0, 3).map(({ target, html }) => `${id} ${target} ${html.slice(0, 120)}`),
      )
  })
}
