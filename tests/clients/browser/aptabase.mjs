// Aptabase's web SDK on a page of another origin: COUNT events, each its own request.
import { init, trackEvent } from '@aptabase/web';

const warnings = [];
console.warn = (...words) => warnings.push(words.join(' '));

init(KEY, { host: BOX, appVersion: '1.4.0' });
for (let n = 0; n < COUNT; n += 20) {
  const some = Array.from({ length: 20 }, (_, more) => trackEvent('clicked', { n: n + more, text: 'Größe 🚀', nested: { a: [1] } }));
  await Promise.all(some);
}
if (warnings.length) throw new Error(warnings[0]);
