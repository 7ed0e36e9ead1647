// Updates elements that follow a background run. It needs no framework, nothing inline and nothing from other hosts.
//
//   <div data-tminus-run="/tminus/runs/ID">
//     <span data-tminus="state">queued</span> <progress data-tminus="progress" max="1" aria-label="progress"></progress>
//     <span data-tminus="progress_text"></span> <pre data-tminus="result"></pre> <span data-tminus="error"></span>
//   </div>
//
// The element gets data-tminus-state, and an event "tminus:change" with the response in `detail`. Elements may be added
// and removed at any time.
"use strict";

(() => {
  const OVER = new Set(["completed", "failed", "cancelled", "unknown"]);
  const LONGEST_S = 30;
  const DAY_S = 86400; // setTimeout is limited to 24 days

  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  // A hidden tab does not poll. It polls at once when it is shown.
  const shown = () => document.hidden && new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));

  // Returns seconds. The header has seconds, or a date by the server's clock; undefined if it is missing.
  const retryAfter = (headers) => {
    const value = headers.get("Retry-After");
    const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.parse(headers.get("Date") ?? new Date())) / 1000;
    return Math.min(Math.max(seconds, 1), DAY_S) || undefined;
  };

  const text = (name, value) => {
    if (value === null || value === undefined) return "";
    if (name === "error") return value.message || value.kind;
    return typeof value === "string" ? value : JSON.stringify(value, null, 2);
  };

  const show = (element, run) => {
    element.dataset.tminusState = run.state;
    for (const part of element.querySelectorAll("[data-tminus]")) {
      const name = part.dataset.tminus;
      if (part instanceof HTMLProgressElement) {
        const done = run.state === "completed" ? 1 : (run.progress ?? (OVER.has(run.state) ? 0 : null));
        if (done === null) part.removeAttribute("value");
        else part.value = done * part.max;
      } else {
        const value = text(name, run[name]);
        if (part.textContent !== value) part.textContent = value;
      }
    }
    element.dispatchEvent(new CustomEvent("tminus:change", { bubbles: true, detail: run }));
  };

  // Screen readers announce a new state and an error, not each per cent and not the whole result.
  const announce = (element) => {
    for (const part of element.querySelectorAll("[data-tminus=state], [data-tminus=error]")) {
      if (!part.closest("[aria-live], [role=status], [role=alert], [role=log]")) part.setAttribute("role", "status");
    }
  };

  const ask = async (url) => {
    const stop = AbortSignal.timeout(LONGEST_S * 1000);
    const response = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-cache", signal: stop });
    const again = retryAfter(response.headers);
    if (response.status === 404) return { run: { state: "unknown" } };
    return response.ok ? { run: await response.json(), again } : { again };
  };

  const follow = async (element) => {
    announce(element);
    let failures = 0;
    let last;
    while (element.isConnected) {
      const { run, again } = await ask(element.dataset.tminusRun).catch(() => ({})); // connection lost: retry
      if (run) {
        failures = 0;
        const current = JSON.stringify(run);
        if (current !== last) show(element, run);
        last = current;
        if (OVER.has(run.state)) return;
      } else failures += 1;
      await wait(again ?? Math.min(2 ** failures, LONGEST_S));
      await shown();
    }
    followed.delete(element);
  };

  const followed = new WeakSet();
  const look = () => {
    for (const element of document.querySelectorAll("[data-tminus-run]")) {
      if (!followed.has(element)) {
        followed.add(element);
        follow(element);
      }
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
  look();
})();
