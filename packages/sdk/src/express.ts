export * from '@drain/provider/express'
