// Comfort on top of pages that are complete without it: copy buttons, and pages that keep themselves current.
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

const main = document.querySelector("main[data-refresh]");

// A document response is parsed without running scripts, so it needs no trusted type.
function fetchPage(done) {
  const request = new XMLHttpRequest();
  request.open("GET", location.href);
  request.responseType = "document";
  request.timeout = 10000;
  request.onload = () => {
    const moved = new URL(request.responseURL || location.href).pathname !== location.pathname;
    done(request.status === 200 && !moved ? request.response : null, moved);
  };
  request.onerror = request.ontimeout = () => done(null, false);
  request.send();
}

function isInUse(part) {
  return part.matches(":hover") || part.contains(document.activeElement) || part.querySelector("details[open]");
}

function refresh() {
  if (document.visibilityState === "hidden") return plan();
  fetchPage((page, moved) => {
    const next = page && page.querySelector("main");
    if (moved || (next && next.dataset.view !== main.dataset.view)) return location.reload();
    if (next) {
      for (const part of main.querySelectorAll("[data-live]")) {
        const fresh = next.querySelector(`[data-live="${part.dataset.live}"]`);
        if (fresh && !isInUse(part) && !part.isEqualNode(fresh)) part.replaceWith(document.importNode(fresh, true));
      }
    }
    plan();
  });
}

function plan() {
  setTimeout(refresh, Number(main.dataset.refresh));
}

if (main) plan();
