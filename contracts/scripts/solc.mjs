#!/usr/bin/env node
// forge looks for its compiler relative to the folder it was started in: with this, `forge test` works in contracts/ too.
import '../../scripts/solc.mjs'
