export * from '@drain/consumer/sqlite'
export * from '@drain/provider/sqlite'
