// Reports with @segment/analytics-next: COUNT events one by one, sent where the box says, and as many in batches, sent where
// the page says.
import { AnalyticsBrowser } from '@segment/analytics-next'

async function report(strategy, options) {
  const analytics = new AnalyticsBrowser()
  analytics.load({ writeKey: KEY, cdnURL: BOX }, options)
  await analytics.page('Docs', 'Start')
  await analytics.identify('u-1', { email: 'ana@example.com', name: 'Ana Ünïcode' })
  const delivered = []
  for (let n = 0; n < Number(COUNT); n += 1) {
    const properties = { n, strategy, title: `Grüße, 世界 🎉 ${n}`, nested: { deep: [n, { a: null }] } }
    delivered.push(analytics.track('Order Completed', properties))
  }
  await Promise.all(delivered)
  await analytics.reset()
}

await report('standard', {})
const { host, protocol } = new URL(BOX)
const deliveryStrategy = { strategy: 'batching', config: { size: 10, timeout: 60_000 } }
const segment = { apiHost: `${host}/v1`, protocol: protocol.slice(0, -1), deliveryStrategy }
await report('batching', { integrations: { 'Segment.io': segment } })
// It does not wait for its last batches. COUNT makes them full, with the page and the identify.
const batches = () => performance.getEntriesByType('resource').filter((sent) => sent.name.endsWith('/v1/b')).length
while (batches() < (Number(COUNT) + 2) / 10) await new Promise((soon) => setTimeout(soon, 20))
