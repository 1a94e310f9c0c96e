// Keeps a page as it is now. Without this script every page is whole, and loads itself again.
"use strict";
(() => {
  const place = document.body.dataset.live;
  const find = document.getElementById("find");
  const sign = document.getElementById("live");
  const keys = { o: "/", r: "/rollouts", m: "/models", c: "/commits", p: "/pulls", a: "/audit" };
  let chord = 0;

  addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.matches("input, select, textarea")) {
      if (event.key === "Escape") at.blur();
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      find.focus();
    } else if (event.key === "g") {
      chord = Date.now();
    } else if (Date.now() - chord < 1000 && keys[event.key]) {
      location.href = keys[event.key];
    }
  });

  // A table that fits has nothing to scroll, and no need of the keyboard.
  const fit = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  fit();
  addEventListener("resize", fit);
  if (!place) return;

  const say = (tone, words) => {
    sign.hidden = false;
    sign.className = "live " + tone;
    if (sign.textContent !== words) sign.textContent = words;
  };

  const swap = (name, news) => {
    const region = document.querySelector(`[data-region="${name}"]`);
    if (!region || region.dataset.digest === news.digest) return;
    // The text is the server's own, escaped there; the policy of the page runs no script in it.
    const focused = document.activeElement;
    const path = region.contains(focused) && focused.getAttribute("href");
    const open = [...region.querySelectorAll("details")].map((found) => found.open);
    region.innerHTML = news.html;
    region.dataset.digest = news.digest;
    const details = region.querySelectorAll("details");
    if (details.length === open.length) details.forEach((found, i) => { found.open = open[i]; });
    if (path) region.querySelector(`a[href="${CSS.escape(path)}"]`)?.focus();
  };

  const source = new EventSource(place);
  source.addEventListener("open", () => say("good", "Live"));
  source.addEventListener("error", () => {
    const over = source.readyState === EventSource.CLOSED;
    say("bad", over ? "Not live: load the page again" : "Not live: connecting again");
  });
  source.addEventListener("page", (event) => {
    for (const [name, news] of Object.entries(JSON.parse(event.data))) swap(name, news);
    const drawn = document.querySelector(".drawn time");
    drawn.dateTime = new Date().toISOString();
    drawn.textContent = drawn.dateTime.slice(0, 19).replace("T", " ") + " UTC";
    fit();
  });
})();
