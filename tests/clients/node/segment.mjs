// Reports COUNT events with @segment/analytics-node.
import { Analytics } from '@segment/analytics-node'

const analytics = new Analytics({ writeKey: process.env.KEY, host: process.env.BOX, flushAt: 100, maxRetries: 0 })
analytics.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})

const count = Number(process.env.COUNT)
analytics.identify({ userId: 'u-0', anonymousId: 'a-0', traits: { email: 'ana@example.com', name: 'Ana Ünïcode' } })
for (let n = 0; n < count; n += 1) {
  const properties = { n, title: `Grüße, 世界 🎉 ${n}`, nested: { deep: [n, { a: null, 'b"\\': [true, 1.5] }] } }
  analytics.track({ userId: `u-${n % 10}`, event: 'Order Completed', properties })
}
analytics.group({ userId: 'u-0', groupId: 'g-1', traits: { name: 'Acme' } })
analytics.alias({ userId: 'u-1', previousId: 'a-1' })
await analytics.closeAndFlush()
