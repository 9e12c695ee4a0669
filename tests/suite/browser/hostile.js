// Everything on a page that no page of ours has, and the numbers of the hostile texts that it shows.
const bad = window.__reports.map(report => 'report: ' + report);
for (const element of document.querySelectorAll('*')) {
  for (const { name, value } of element.attributes) {
    if (/^on/i.test(name) || name === 'style' || name === 'srcdoc') bad.push(element.outerHTML.slice(0, 200));
    if (/^(href|src|action|formaction|data|xlink:href)$/i.test(name) && !/^(\/|#|\?|http:\/\/127\.0\.0\.1:|$)/.test(value))
      bad.push(element.outerHTML.slice(0, 200));
  }
  // The live page's own, for browsers without scripts.
  if (element.localName === 'noscript' && element.parentNode === document.head && element.textContent === '<meta http-equiv="refresh" content="10">') continue;
  if (/^(iframe|object|embed|base|marquee|style|template|math|video|audio|noscript|foreignobject|animate|use)$/i.test(element.localName))
    bad.push(element.outerHTML.slice(0, 200));
}
if ([...document.scripts].some(script => !/\/assets\/app[^\/]*\.js$/.test(script.src)) || document.scripts.length > 1) bad.push('a script');
if (document.querySelectorAll('head link').length > 2 || document.querySelectorAll('base, meta[http-equiv]').length) bad.push('the head');
for (const details of document.querySelectorAll('details')) details.open = true;
const fields = [...document.querySelectorAll('input, textarea, option, [title]')];
const shown = document.documentElement.textContent + fields.map(field => [field.value, field.title].join(' ')).join(' ');
const next = document.querySelector('a[rel=next]');
return { bad, shown: [...new Set(shown.match(/7[01]\d\d/g) || [])], next: next && next.href };
