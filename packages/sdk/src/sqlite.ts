export * from '@drain/provider/sqlite'
