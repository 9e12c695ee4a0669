// Reports COUNT events with @rudderstack/rudder-sdk-node, compressed unless GZIP is 0.
import RudderAnalytics from '@rudderstack/rudder-sdk-node'

const Analytics = RudderAnalytics.default ?? RudderAnalytics
const options = { dataPlaneUrl: process.env.BOX, gzip: process.env.GZIP !== '0', flushAt: 100, logLevel: 'error' }
const analytics = new Analytics(process.env.KEY, options)

const count = Number(process.env.COUNT)
let delivered = 0
const told = (error) => {
  if (error) throw error
  delivered += 1
}
analytics.identify({ userId: 'u-0', anonymousId: 'a-0', traits: { email: 'ana@example.com', name: 'Ana Ünïcode' } }, told)
for (let n = 0; n < count; n += 1) {
  const properties = { n, title: `Grüße, 世界 🎉 ${n}`, nested: { deep: [n, { a: null, 'b"\\': [true, 1.5] }] } }
  analytics.track({ userId: `u-${n % 10}`, event: 'Order Completed', properties }, told)
  if (n % 90 === 0) await analytics.flush() // it looks at its whole queue at every call
}
while (delivered <= count) {
  await analytics.flush()
  await new Promise(setImmediate) // where it tells what was delivered
}
process.exit(0)
