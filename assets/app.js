// Comfort on top of pages that are complete without it: copy buttons, and pages that keep themselves current or
// are told when there is something new.
"use strict";

for (const block of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  if (block.tagName === "PRE") {
    const box = document.createElement("div");
    box.className = "code-box";
    block.replaceWith(box);
    box.append(block, button);
  } else {
    block.after(button);
  }
}

// What is chosen in a row that is longer than the window is brought into sight, without moving the page.
for (const chosen of document.querySelectorAll(".segments [aria-current]")) {
  const row = chosen.closest(".segments");
  const [is, of] = [chosen, row].map((one) => one.getBoundingClientRect());
  row.scrollLeft += is.left + is.width / 2 - of.left - of.width / 2;
}

// A box in front of the page closes as a menu does.
const boxes = "details.custom[open], details.confirm[open]";
document.addEventListener("click", (event) => {
  for (const box of document.querySelectorAll(boxes)) {
    if (!box.contains(event.target)) box.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const box = event.key === "Escape" && document.querySelector(boxes);
  if (!box) return;
  box.open = false;
  box.querySelector("summary").focus();
});

// A new app is offered the zone of whoever makes it.
const zones = document.querySelector("select[data-own-zone]");
const own = zones && Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zones && [...zones.options].some((option) => option.value === own)) zones.value = own;

const main = document.querySelector("main[data-refresh]");
let touched = 0;
let timer = 0;
let lively = 0;
let asking = false;
let news = null;
let heard = "";

// A document response is parsed without running scripts, so it needs no trusted type.
function fetchPage(done) {
  const request = new XMLHttpRequest();
  const from = new URL(main.dataset.from || location.href, location.href);
  request.open("GET", from);
  request.responseType = "document";
  request.timeout = 10000;
  request.onload = () => {
    const moved = new URL(request.responseURL || from).pathname !== from.pathname;
    done(request.status === 200 && !moved ? request.response : null, moved);
  };
  request.onerror = request.ontimeout = () => done(null, false);
  request.send();
}

// What somebody reads or points at stays as it is; a pointer that has come to rest somewhere does not count.
function isInUse(part) {
  const pointedAt = part.matches(":hover") && performance.now() - touched < 4000;
  const focused = !("steady" in part.dataset) && part.contains(document.activeElement);
  return pointedAt || focused || part.querySelector("details.entry[open]");
}

function replace(part, fresh) {
  const [was, is] = [part, fresh].map((one) => one.querySelector("details.numbers"));
  if (was && is) is.open = was.open;
  if (part.isEqualNode(fresh)) return;
  const scrolled = was ? was.querySelector(".scroll").scrollTop : 0;
  const [before, after] = [part, fresh].map((one) => [...one.querySelectorAll("a, summary, [tabindex]")]);
  const focus = after[before.indexOf(document.activeElement)];
  part.replaceWith(fresh);
  if (scrolled && is) is.querySelector(".scroll").scrollTop = scrolled;
  if (focus) focus.focus({ preventScroll: true });
}

function refresh() {
  timer = 0;
  if (document.visibilityState === "hidden") return plan();
  asking = true;
  fetchPage((page, moved) => {
    asking = false;
    const next = page && page.querySelector("main");
    if (moved || (next && next.dataset.view !== main.dataset.view)) {
      if (!main.dataset.from) location.reload(); // what shows a key is gone when it is loaded again
      return;
    }
    if (next) {
      for (const part of main.querySelectorAll("[data-live]")) {
        const fresh = next.querySelector(`[data-live="${part.dataset.live}"]`);
        if (fresh && !isInUse(part)) replace(part, document.importNode(fresh, true));
      }
      if (next.dataset.mark) main.dataset.mark = next.dataset.mark;
    }
    if (heard && heard !== main.dataset.mark && next) {
      heard = "";
      return refresh();
    }
    plan();
  });
}

// Whoever has just come to the page may be waiting for what a program sends now.
function plan() {
  if (news) return;
  timer = setTimeout(refresh, performance.now() < lively ? 800 : Number(main.dataset.refresh));
}

function welcome() {
  if (main.dataset.stream) listen();
  if (document.visibilityState === "hidden") return;
  lively = performance.now() + 60000;
  if (timer) {
    clearTimeout(timer);
    refresh();
  }
}

// A page about now is told when there is something new, and asks by itself only where nobody tells it. A page that nobody
// sees is not told: browsers open few connections at a time, and the box few streams.
function listen() {
  if (document.visibilityState === "hidden") return news && stop();
  if (news) return;
  news = new EventSource(main.dataset.stream);
  news.addEventListener("open", () => pulse(true));
  news.addEventListener("news", (event) => {
    if (event.data === main.dataset.mark) return;
    heard = event.data;
    if (!asking) refresh();
  });
  news.addEventListener("error", () => {
    pulse(false);
    if (!news || news.readyState !== EventSource.CLOSED) return;
    stop();
    plan();
  });
}

function stop() {
  news.close();
  news = null;
  pulse(false);
}

function pulse(on) {
  for (const sign of main.querySelectorAll("[data-pulse]")) sign.hidden = !on;
}

if (main) {
  for (const kind of ["pointermove", "pointerdown"]) {
    document.addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  }
  document.addEventListener("visibilitychange", welcome);
  welcome();
  plan();
}
