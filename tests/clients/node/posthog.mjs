// posthog-node: COUNT events, and what it says of people, groups, flags and exceptions beside.
import { PostHog } from 'posthog-node';

const { BOX, KEY, COUNT } = process.env;
const failures = [];
for (const level of ['error', 'warn']) console[level] = (...words) => failures.push(words.join(' '));

const posthog = new PostHog(KEY, { host: BOX, flushAt: 50 });
posthog.on('error', (failure) => failures.push(failure));
for (let n = 0; n < COUNT; n++) {
  posthog.capture({
    distinctId: `user ${n % 10}`,
    event: `event ${n % 7}`,
    properties: { n, text: 'Příliš žluťoučký 🐎', nested: { list: [1, null, { deep: 'ü' }], no: false } },
  });
  // It drops the oldest of more than a thousand.
  if (n % 500 === 499) await posthog.flush();
}
posthog.identify({ distinctId: 'ada', properties: { $set: { email: 'ada@example.org', name: 'Ada' } } });
posthog.alias({ distinctId: 'ada', alias: 'ada of old' });
posthog.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { size: 3 } });
posthog.captureException(new TypeError('it is "null" 7 times'), 'ada', { n: -1 });
const flags = await posthog.getAllFlags('ada');
if (Object.keys(flags).length) failures.push(`flags: ${JSON.stringify(flags)}`);
await posthog.shutdown();
if (failures.length) throw new Error(failures.map(String).join('\n'));
