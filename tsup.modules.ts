import { globSync } from 'node:fs'
import type { Options } from 'tsup'

/**
 * Builds each source file to a file of its own, as it stands in `src`, where an app's bundler is to leave out what is not
 * used and to load later what is used later. One file of all would have the names of every `export * as` tied together.
 */
export const modules: Options = {
  entry: globSync('src/**/*.ts').filter(
    (path) => !/\.(test|test-d|page|child)\.ts$|\/conformance\//.test(path),
  ),
  format: ['esm', 'cjs'],
  target: 'es2023',
  bundle: true,
  splitting: false,
  sourcemap: true,
  clean: true,
  esbuildPlugins: [
    {
      name: 'modules',
      setup(build) {
        const extension = build.initialOptions.format === 'cjs' ? '.cjs' : '.js'
        build.onResolve({ filter: /^\.{1,2}\/.*\.ts$/ }, ({ kind, path }) =>
          kind === 'entry-point' ? undefined : { path: path.replace(/\.ts$/, extension), external: true },
        )
      },
    },
  ],
}
