// Reports with @segment/analytics-next: COUNT events one by one, sent where the box says, and as many in a batch, sent where
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

// It does not say when its batches were taken, so its requests are watched until all events have been in one.
const answered = new Promise((done) => {
  const { fetch } = globalThis
  let missing = 2 * Number(COUNT)
  globalThis.fetch = async (...request) => {
    const response = await fetch(...request)
    const [address, { body } = {}] = request
    if (String(address).endsWith('/v1/t')) missing -= 1
    if (String(address).endsWith('/v1/b')) missing -= JSON.parse(body).batch.filter(({ type }) => type === 'track').length
    if (missing <= 0) done()
    return response
  }
})

await report('standard', {})
const { host, protocol } = new URL(BOX)
// A single batch of the page, the identify and all events.
const deliveryStrategy = { strategy: 'batching', config: { size: Number(COUNT) + 2, timeout: 60_000 } }
const segment = { apiHost: `${host}/v1`, protocol: protocol.slice(0, -1), deliveryStrategy }
await report('batching', { integrations: { 'Segment.io': segment } })
await answered
