export * from '@drain/provider/postgres'
