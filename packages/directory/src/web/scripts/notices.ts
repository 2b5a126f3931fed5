/** What a page tells somebody who waits: what is going on, and what went wrong. Read out by screen readers. */
import { make } from './page.ts'
import { wordsOf } from './wordsOf.ts'

export type Notices = {
  /** Does something that somebody waits for: one thing at a time, and what goes wrong is said. */
  run<result>(progress: string, task: () => Promise<result>): Promise<result | undefined>
  progress(text: string): void
  complain(error: unknown): void
  clear(): void
}

/**
 * @param host Where they are put, before everything else in it.
 * @param area Whose buttons wait meanwhile; the host by default.
 */
export function createNotices(host: HTMLElement, area: HTMLElement = host): Notices {
  const problem = make('p', { class: 'notice problem', role: 'alert', hidden: true })
  const progress = make('p', { class: 'notice progress', role: 'status' })
  host.prepend(problem, progress)
  let isRunning = false

  const notices: Notices = {
    async run(text, task) {
      if (isRunning) return undefined
      isRunning = true
      notices.clear()
      progress.textContent = text
      const focused = document.activeElement
      const buttons = [...area.querySelectorAll('button')].filter(({ disabled }) => !disabled)
      for (const button of buttons) button.disabled = true
      area.setAttribute('aria-busy', 'true')
      try {
        return await task()
      } catch (error) {
        notices.complain(error)
        return undefined
      } finally {
        isRunning = false
        progress.textContent = ''
        area.removeAttribute('aria-busy')
        for (const button of buttons) button.disabled = false
        // A button that is disabled loses the focus.
        if (document.activeElement === document.body && focused instanceof HTMLElement) focused.focus()
      }
    },
    progress(text) {
      progress.textContent = text
    },
    complain(error) {
      problem.textContent = wordsOf(error)
      problem.hidden = false
    },
    clear() {
      problem.hidden = true
      problem.textContent = ''
    },
  }
  return notices
}
