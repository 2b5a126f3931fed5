import { defineConfig } from '@wagmi/cli'
import { foundry } from '@wagmi/cli/plugins'

/** Writes the contract's ABI into core. Run it through `node scripts/codegen.ts`, which builds the contract first. */
export default defineConfig({
  out: process.env.DRAIN_ABI_OUT ?? 'packages/core/src/abi.generated.ts',
  plugins: [
    foundry({ artifacts: 'out', include: ['DrainChannel.sol/**'], forge: { build: false, rebuild: false } }),
  ],
})
