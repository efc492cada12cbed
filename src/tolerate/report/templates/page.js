(() => {
  const root = document.documentElement;
  const all = (selector) => Array.from(document.querySelectorAll(selector));

  // Every text that is not on the page itself carries both languages in data-en and data-zh.
  const speak = (lang) => {
    root.dataset.lang = lang;
    root.lang = lang === "zh" ? "zh-Hans" : "en";
    for (const it of all("[data-en]")) {
      const said = it.getAttribute("data-" + lang);
      if (it.tagName === "IMG") it.alt = said;
      else if (it.matches("title")) it.textContent = said;
      else it.setAttribute("aria-label", said);
    }
    for (const button of all("[data-set-lang]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setLang === lang));
    }
  };
  for (const button of all("[data-set-lang]")) {
    button.addEventListener("click", () => speak(button.dataset.setLang));
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  for (const button of all("[data-theme-switch]")) {
    button.addEventListener("click", () => {
      const now = root.dataset.theme || (dark.matches ? "dark" : "light");
      root.dataset.theme = now === "dark" ? "light" : "dark";
    });
  }

  // The lines of the map: one stop for Tab, arrows walk from line to line, the caption reads the line.
  const readout = document.querySelector(".readout");
  const hint = readout && readout.innerHTML;
  const read = (line) => {
    const title = line.querySelector("title");
    const parts = [["en", "en"], ["zh", "zh-Hans"]].map(([name, code]) => {
      const span = document.createElement("span");
      span.className = name;
      span.lang = code;
      span.textContent = title.getAttribute("data-" + name);
      return span;
    });
    readout.replaceChildren(...parts);
  };
  for (const map of all("svg.map")) {
    const lines = Array.from(map.querySelectorAll(".line"));
    if (lines.length) lines[lines.length - 1].setAttribute("tabindex", "0");
    lines.forEach((line, k) => {
      line.addEventListener("pointerenter", () => read(line));
      line.addEventListener("pointerleave", () => { readout.innerHTML = hint; });
      line.addEventListener("focus", () => read(line));
      line.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = lines[(k + step + lines.length) % lines.length];
        line.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    });
  }

  addEventListener("beforeprint", () => all("details").forEach((it) => { it.open = true; }));
})();
