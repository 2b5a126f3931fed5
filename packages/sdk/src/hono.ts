export * from '@drain/provider/hono'
