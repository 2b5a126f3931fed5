export * from '@drain/consumer/node'
export * from '@drain/provider/node'
