// What a page lacks for people who see little or use no mouse: a list of sentences, empty if nothing.
const found = [];
const pixel = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });

// Red, green, blue from 0 to 255 and opacity from 0 to 1, of a colour in any notation.
function rgba(colour) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = colour;
  pixel.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

function over(upper, lower) {
  return [0, 1, 2].map((at) => upper[at] * upper[3] + lower[at] * (1 - upper[3])).concat(1);
}

// What lies behind an element; null where a picture does.
function ground(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.backgroundImage !== 'none') return null;
    layers.push(rgba(style.backgroundColor));
  }
  return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
}

function opacity(element) {
  let product = 1;
  for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
  return product;
}

function luminance(colour) {
  const [r, g, b] = colour.slice(0, 3).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function seen(element) {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && getComputedStyle(element).clipPath === 'none';
}

// WCAG 2.2, 1.4.3: 4.5 to 1, for large text 3 to 1. What cannot be used is left out, as there.
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim();
  const element = walker.currentNode.parentElement;
  // A mark between two texts says nothing.
  if (!/[\p{L}\p{N}]/u.test(text) || !seen(element) || element.closest('[disabled], script, style, option, noscript')) continue;
  const style = getComputedStyle(element);
  const behind = ground(element);
  if (!behind) continue;
  const ink = rgba(element instanceof SVGElement ? style.fill : style.color);
  ink[3] *= opacity(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = contrast(over(ink, behind), behind);
  if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${text.slice(0, 40)} (${element.className || element.tagName})`);
}

for (const element of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')) {
  if (!seen(element) || element.disabled) continue;
  if (element.tabIndex !== 0) found.push(`not in the order of the keyboard: ${element.outerHTML.slice(0, 80)}`);
  const field = element.matches('input, select, textarea');
  const named = element.getAttribute('aria-label') || element.getAttribute('aria-labelledby')
    || (field ? element.labels.length || element.type === 'submit' : element.textContent.trim());
  if (!named) found.push(`has no name: ${element.outerHTML.slice(0, 80)}`);
}

for (const script of document.scripts) {
  if (!script.src || !(script.defer || script.async || script.type === 'module')) found.push(`blocks: ${script.outerHTML.slice(0, 80)}`);
}

for (const picture of document.querySelectorAll('svg')) {
  if (seen(picture) && !picture.closest('[aria-hidden=true]') && picture.getAttribute('role') !== 'img') found.push(`a picture without words: ${picture.outerHTML.slice(0, 60)}`);
}
if (!document.documentElement.lang) found.push('no language');
if (document.querySelectorAll('h1').length !== 1) found.push('not one heading of the first order');
return found;
