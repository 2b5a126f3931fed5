/** A button on every block of code that somebody will want to have: `<pre data-copy>`. */
import { make, makeButton } from './page.ts'

for (const block of document.querySelectorAll<HTMLElement>('[data-copy]')) {
  const said = make('span', { role: 'status', class: 'copied' })
  const button = makeButton(
    'Copy',
    async () => {
      said.textContent = await copy(block)
    },
    { class: 'copy' },
  )
  block.after(button, said)
}

/** Says what came of it. */
async function copy(block: HTMLElement): Promise<string> {
  try {
    // Only where the page was loaded over https or from this machine.
    await navigator.clipboard.writeText(block.dataset.copy || (block.textContent ?? ''))
    return 'Copied.'
  } catch {
    getSelection()?.selectAllChildren(block)
    return 'Selected. Copy it with Ctrl+C or ⌘C.'
  }
}
