/** The try-it page: connect a wallet, open a channel, ask, get the rest back. What was opened is there again after a reload. */
import type { ClosedChannel } from '@drain/consumer'
import { SessionKey } from '@drain/core'
import type { Address } from 'viem'
import type { Trial } from '../try/Trial.ts'
import { createNotices, type Notices } from './notices.ts'
import { dataOf, part, whereThereIs } from './page.ts'
import { showChannels } from './trying/channelList.ts'
import { createConversation } from './trying/conversation.ts'
import { raiseDeposit, readLimits, showLimits } from './trying/Limits.ts'
import { createPayer, type Payer } from './trying/Payer.ts'
import { readTerms, type Terms } from './trying/readTerms.ts'
import { connect, connectedAccount, offerWallets, type Wallet, watchChanges } from './wallets.ts'

whereThereIs('try', (root) => {
  startTrial(root, dataOf<Trial>(root, 'trial'), createNotices(root))
})

function startTrial(root: HTMLElement, trial: Trial, notices: Notices): void {
  const { deployment, apiUrl, payee } = trial
  let connected: { wallet: Wallet; account: Address } | undefined
  let payer: Payer | undefined
  let limitsOfPayer = ''
  let terms: Terms | undefined
  const conversation = createConversation({
    ...{ trial, notices, payer: payerNow, terms: () => terms },
    after: refresh,
  })

  showLimits()
  show('payee', payee)
  offerWallets(
    part('wallets'),
    (wallet) =>
      notices.run('Asking the wallet …', async () => {
        const { account } = await connect(wallet, [deployment.chainId])
        await begin(wallet, account)
      }),
    goOn,
  )

  /** A page that was connected before goes on where it was. */
  async function goOn(wallet: Wallet): Promise<void> {
    const account = await connectedAccount(wallet)
    if (!account || connected) return
    if (Number(await wallet.provider.request({ method: 'eth_chainId' })) !== deployment.chainId) return
    await notices.run('Looking what is open …', () => begin(wallet, account))
  }

  async function begin(wallet: Wallet, account: Address): Promise<void> {
    terms ??= await readTerms(apiUrl)
    raiseDeposit(terms.least)
    connected = { wallet, account }
    show('account', account)
    show('way', wayOf(terms))
    part('open').textContent = isRelayed(terms) ? 'Open with one signature' : 'Approve and open'
    // What is shown would be wrong.
    watchChanges(wallet, { account, chainId: deployment.chainId }, () =>
      leave('Your wallet changed. Connect it again.'),
    )
    if (!(await payerNow())) return
    await refresh()
    conversation.look()
  }

  /** Who pays within the limits that the form has now; `undefined` where they are none, or nobody is connected. */
  async function payerNow(): Promise<Payer | undefined> {
    const limits = readLimits()
    if (!limits || !connected) return undefined
    const text = JSON.stringify(limits)
    if (payer && text === limitsOfPayer) return payer
    const before = payer
    payer = createPayer(connected.wallet, connected.account, trial, limits)
    limitsOfPayer = text
    await before?.client.stop()
    return payer
  }

  async function leave(why: string): Promise<void> {
    if (!connected) return
    const before = payer
    connected = undefined
    payer = undefined
    showSections('connecting')
    notices.complain(new Error(why))
    await before?.client.stop()
  }

  /** Shows where things stand: other tabs pay from the same channel. */
  async function refresh(): Promise<void> {
    if (!payer) return
    const channel = await payer.channel()
    showSections('channels', channel ? 'using' : 'opening')
    if (channel) {
      show('locked', `${channel.deposit} USDC`)
      show('spent', `${channel.charged} USDC`)
      show('left', `${channel.remaining} USDC`)
    } else {
      show('balance', `${await payer.balance()} USDC`)
    }
    await showChannels(() => payer?.client, { notices, onClosed })
  }

  async function onClosed({ refund, finalAmount, txHash }: ClosedChannel): Promise<void> {
    show('refund', `${refund} USDC`)
    show('kept', `${finalAmount} USDC`)
    show('transaction', txHash)
    await refresh()
    part('closed').hidden = false
    part('closed-title').focus()
  }

  const isRelayed = ({ canRelay }: Terms) => canRelay && deployment.features.includes('openWithAuthorization')

  function wayOf(given: Terms): string {
    const back =
      'What it doesn’t earn comes back when you close; after the expiry that takes no consent of the provider.'
    const asks = SessionKey.isSupported(deployment) ? '' : ' It is asked to sign each request, too.'
    if (isRelayed(given)) {
      return `Your wallet is asked for one signature, and needs no gas: the provider sends the opening. ${back}`
    }
    return `This provider opens no channels for others: your wallet is asked for two transactions, an approval of exactly the deposit and the opening, and pays their gas.${asks} ${back}`
  }

  part('open').addEventListener('click', () =>
    notices.run('Your wallet asks you to sign …', async () => {
      const opener = await payerNow()
      if (!opener) return
      await opener.client.openChannel({ origin: apiUrl, amount: opener.limits.perChannel })
      await refresh()
      part('closed').hidden = true
      conversation.look()
      part('using-title').focus()
    }),
  )
  part('recover').addEventListener('click', () =>
    notices.run('Looking at the chain …', async () => {
      await payer?.client.recover({ origins: [new URL(apiUrl).origin] })
      await refresh()
    }),
  )
  part('limits-form').addEventListener('change', readLimits)
  part('limits-form').addEventListener('submit', (event) => event.preventDefault())
  document.addEventListener('visibilitychange', () => {
    if (payer && !document.hidden) refresh().catch(notices.complain)
  })

  function show(name: string, text: string): void {
    for (const element of root.querySelectorAll(`[data-show="${name}"]`)) element.textContent = text
  }
}

function showSections(...visible: string[]): void {
  for (const id of ['connecting', 'opening', 'using', 'channels']) part(id).hidden = !visible.includes(id)
  if (!visible.includes('opening')) part('closed').hidden = true
}
