// Aptabase's web SDK outside of a browser: COUNT events, each its own request.
import { init, trackEvent } from '@aptabase/web';

const { BOX, KEY, COUNT } = process.env;
const warnings = [];
console.warn = (...words) => warnings.push(words.join(' '));

init(KEY, { host: BOX, appVersion: '1.4.0' });
const track = (n) =>
  trackEvent(`event ${n % 10}`, { n, text: 'Příliš žluťoučký 🐎', nested: { list: [1, null, { deep: 'ü' }], no: false } });
for (let n = 0; n < COUNT; n += 50) {
  await Promise.all(Array.from({ length: Math.min(50, COUNT - n) }, (_, more) => track(n + more)));
}
// It tells of failures no other way.
if (warnings.length) throw new Error(warnings[0]);
