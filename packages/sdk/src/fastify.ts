export * from '@drain/provider/fastify'
