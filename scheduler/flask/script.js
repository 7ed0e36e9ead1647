// Keeps elements up to date with work that was handed over. No framework, nothing inline, nothing from elsewhere.
//
//   <div data-tminus-run="/scheduler/runs/ID">
//     <span data-tminus="state">queued</span> <progress data-tminus="progress" max="1"></progress>
//     <span data-tminus="progress_text"></span> <pre data-tminus="result"></pre> <span data-tminus="error"></span>
//   </div>
//
// The element gets data-tminus-state, aria-busy while it goes on, and an event "tminus:change" with the answer in `detail`.
"use strict";

(() => {
  const OVER = new Set(["completed", "failed", "cancelled"]);
  const LONGEST_S = 30;

  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  const text = (name, run) => {
    if (name === "error") return run.error ? run.error.message || run.error.kind : "";
    if (name === "result") return typeof run.result === "string" ? run.result : JSON.stringify(run.result, null, 2);
    return String(run[name]);
  };

  const show = (element, run) => {
    element.dataset.tminusState = run.state;
    element.setAttribute("aria-busy", String(!OVER.has(run.state)));
    for (const part of element.querySelectorAll("[data-tminus]")) {
      const name = part.dataset.tminus;
      const value = run[name];
      if (part instanceof HTMLProgressElement) {
        if (run.state === "completed") part.value = part.max;
        else if (value !== null && value !== undefined) part.value = value * part.max;
      } else {
        const said = value === null || value === undefined ? "" : text(name, run);
        if (part.textContent !== said) part.textContent = said;
      }
    }
    element.dispatchEvent(new CustomEvent("tminus:change", { bubbles: true, detail: run }));
  };

  const follow = async (element) => {
    if (!element.hasAttribute("role")) element.setAttribute("role", "status"); // announced, politely, when it changes
    let failures = 0;
    for (;;) {
      let seconds = 1;
      try {
        const response = await fetch(element.dataset.tminusRun, {
          headers: { Accept: "application/json" },
          cache: "no-cache",
          credentials: "same-origin",
        });
        if (response.status === 404) {
          element.dataset.tminusState = "unknown";
          element.setAttribute("aria-busy", "false");
          return;
        }
        if (!response.ok) throw new Error(String(response.status));
        const run = await response.json();
        show(element, run);
        if (OVER.has(run.state)) return;
        failures = 0;
        seconds = Number(response.headers.get("Retry-After")) || seconds;
      } catch {
        failures += 1; // the connection is gone, or the server restarts: go on
        seconds = Math.min(2 ** failures, LONGEST_S);
      }
      await wait(seconds);
      if (!element.isConnected) return;
    }
  };

  const begin = () => document.querySelectorAll("[data-tminus-run]").forEach(follow);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
