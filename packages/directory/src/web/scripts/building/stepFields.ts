/** One step of a skill, as fields. */
import { make } from '../page.ts'
import type { StepDraft } from './Draft.ts'
import { field } from './fields.ts'
import type { Offers } from './Offers.ts'

export function stepFields(step: StepDraft, index: number, offers: Offers): HTMLElement[] {
  const id = (name: string) => `steps-${index}-${name}`
  const model = field({
    id: id('model'),
    label: 'Model',
    in: step,
    name: 'model',
    options: [['', 'Its first one']],
  })
  const select = model.querySelector('select') as HTMLSelectElement
  const provider = field({
    ...{ id: id('provider'), label: 'Provider', in: step, name: 'provider', list: 'offers' },
    hint: 'Its id in this directory.',
  })
  const chat = make(
    'div',
    { class: 'fields whole' },
    field({
      id: id('request-system'),
      label: 'System message (or nothing)',
      in: step,
      name: 'system',
      rows: 2,
    }),
    field({
      ...{ id: id('request-messages'), label: 'Message', in: step, name: 'user', rows: 4 },
      hint: 'Write {{inputs.name}} for an input, and {{steps.id.output}} for what a step before answered.',
    }),
    field({
      id: id('request-maxTokens'),
      label: 'Longest answer, in tokens',
      in: step,
      name: 'maxTokens',
      inputmode: 'numeric',
    }),
  )
  const body = make(
    'div',
    { class: 'fields whole' },
    field({ id: id('request-path'), label: 'Path (or nothing)', in: step, name: 'path' }),
    field({ id: id('request-body'), label: 'Body, as JSON', in: step, name: 'body', rows: 6 }),
  )
  const kind = field({
    ...{ id: id('request'), label: 'What is sent', in: step, name: 'kind' },
    options: [
      ['messages', 'A chat'],
      ['body', 'A JSON body'],
    ],
  })

  /** Shows what belongs to the kind. */
  function look(): void {
    chat.hidden = step.kind !== 'messages'
    body.hidden = step.kind !== 'body'
  }

  /** Offers the models of the provider that is named. */
  async function showModels(): Promise<void> {
    const named = step.provider
    const offer = await offers.get(named.trim())
    if (step.provider !== named) return
    const models = offer?.models ?? []
    const kept = step.model !== '' && !models.some((one) => one.id === step.model) ? [step.model] : []
    select.replaceChildren(
      make('option', { value: '' }, 'Its first one'),
      ...models.map((one) => make('option', { value: one.id }, one.name || one.id)),
      ...kept.map((one) => make('option', { value: one }, one)),
    )
    select.value = step.model
    if (offer && offer.protocol !== step.protocol) {
      step.protocol = offer.protocol
      if (offer.protocol === 'mpp') step.kind = 'body'
      look()
    }
    select.dispatchEvent(new Event('input', { bubbles: true }))
  }

  provider.querySelector('input')?.addEventListener('change', () => void showModels())
  kind.querySelector('select')?.addEventListener('input', look)
  look()
  if (step.provider !== '') void showModels()
  return [
    field({ id: id('title'), label: 'Title', in: step, name: 'title' }),
    field({
      id: id('id'),
      label: 'Short name',
      in: step,
      name: 'id',
      hint: 'As {{steps.short-name.output}} has it.',
    }),
    provider,
    model,
    kind,
    chat,
    body,
    field({ id: id('output-name'), label: 'Its output is called', in: step, name: 'outputName' }),
    field({ id: id('output-description'), label: 'What its output is', in: step, name: 'outputDescription' }),
    field({
      id: id('estimatedTokens-input'),
      label: 'Input tokens, about',
      in: step,
      name: 'tokensIn',
      inputmode: 'numeric',
    }),
    field({
      id: id('estimatedTokens-output'),
      label: 'Output tokens, about',
      in: step,
      name: 'tokensOut',
      inputmode: 'numeric',
    }),
    field({
      ...{ id: id('estimatedUnits'), label: 'Or times that its price is paid', in: step, name: 'units' },
      ...{ hint: 'Where it is not paid by the token.', inputmode: 'decimal' },
    }),
  ]
}
