export * from '@drain/provider/node'
