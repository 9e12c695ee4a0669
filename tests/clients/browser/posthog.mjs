// posthog-js on a page of another origin: its page view, COUNT events, an exception, and a user who becomes known.
const failures = [];
for (const level of ['error', 'warn']) console[level] = (...words) => failures.push(words.join(' '));

// How many events the server has taken: only what goes over the network tells.
let taken = 0;
const send = globalThis.fetch;
globalThis.fetch = async (address, options) => {
  const answer = await send(address, options);
  if (String(address).includes('/e/')) {
    // Not in one expression: what others add meanwhile would be lost.
    const more = await events(options.body, answer);
    taken += more;
  }
  return answer;
};

async function events(body, answer) {
  if (answer.status !== 200) throw new Error(`answered ${answer.status}: ${await answer.clone().text()}`);
  const unpacked = new Response(body).body.pipeThrough(new DecompressionStream('gzip'));
  const sent = await new Response(unpacked).json();
  return (sent.batch ?? [sent].flat()).length;
}

const { default: posthog } = await import('posthog-js');
let told = 0;
posthog.init(KEY, {
  api_host: BOX,
  api_transport: 'fetch',
  // It takes a browser without a window for a robot.
  opt_out_useragent_filter: true,
  person_profiles: 'identified_only',
  rate_limiting: { events_per_second: 1e6, events_burst_limit: 1e6 },
  request_queue_config: { flush_interval_ms: 250 },
  before_send: (event) => (told++, event),
});
for (let n = 0; n < COUNT; n++) posthog.capture('clicked', { n, text: 'Größe 🚀', nested: { a: [1, { b: null }] } });
posthog.captureException(new TypeError('it is "null" 7 times'));
posthog.identify('ada', { email: 'ada@example.org', name: 'Ada' });
posthog.capture('known', { n: -1 });
while (taken < told) await new Promise((resume) => setTimeout(resume, 20));
if (failures.length) throw new Error(failures.join('\n'));
