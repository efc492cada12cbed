// Keys press the buttons that carry them; what is written is kept as a draft; a table's file fills its field.
"use strict";
const form = document.getElementById("verdict");
const note = document.getElementById("note");
const writing = () => document.activeElement && /^(TEXTAREA|INPUT|SELECT)$/.test(document.activeElement.tagName);
let sent = false;

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "Escape" && writing()) { document.activeElement.blur(); return; }
  if (writing()) return;
  if (event.key.toLowerCase() === "n" && note) { event.preventDefault(); note.focus(); return; }
  for (const button of document.querySelectorAll("[data-key]")) {
    if (button.dataset.key === event.key.toLowerCase()) { event.preventDefault(); button.click(); return; }
  }
  const player = document.querySelector("audio, video");
  if (event.key.toLowerCase() === "p" && player) { event.preventDefault(); player.paused ? player.play() : player.pause(); }
});

const picture = document.querySelector("img.media");
if (picture) {
  const fit = () => picture.classList.toggle("tiny", picture.naturalWidth < 200 && picture.naturalHeight < 200);
  picture.complete ? fit() : picture.addEventListener("load", fit);
}

if (form) {
  form.addEventListener("submit", event => {
    if (sent) event.preventDefault();
    sent = true;
  });
}

if (note) {
  const told = document.getElementById("kept");
  let timer = null;
  const keep = async () => {
    timer = null;
    const fields = new URLSearchParams({ csrf: form.elements.csrf.value, slot: form.elements.slot.value, note: note.value });
    try {
      const answer = await fetch("/desk/draft", { method: "POST", body: fields });
      told.textContent = answer.ok ? told.dataset.saved : told.dataset.lost;
    } catch { told.textContent = told.dataset.lost; }
  };
  note.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(keep, 250); });
}

const file = document.getElementById("file");
if (file) {
  const into = document.getElementById("import"), told = document.getElementById("chosen");
  const isTable = each => /\.csv$/i.test(each.name) || each.type === "text/csv";
  const chosen = () => [...file.files].filter(each => !isTable(each));
  file.addEventListener("change", async () => {
    const table = [...file.files].find(isTable);
    if (table) document.getElementById("table").value = await table.text();
    told.textContent = [...file.files].map(each => each.name).slice(0, 12).join(", ") + (file.files.length > 12 ? " …" : "");
  });
  const send = async each => {
    const headers = { "x-csrf": into.elements.csrf.value, "x-name": encodeURIComponent(each.name) };
    const answer = await fetch("/desk/upload", { method: "POST", headers, body: each });
    if (answer.ok) return (await answer.json()).kept;
    const said = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[role=alert]");
    throw new Error(said ? said.textContent : answer.status);
  };
  into.addEventListener("submit", async event => {
    const files = chosen();
    if (!files.length || into.elements.files.value) return;
    event.preventDefault();
    const kept = {};
    try {
      for (const [place, each] of files.entries()) {
        told.textContent = into.dataset.sending.replace("##", files.length).replace("#", place + 1);
        kept[each.name] = await send(each);
      }
      into.elements.files.value = JSON.stringify(kept);
      into.submit();
    } catch (error) { told.textContent = into.dataset.failed + ": " + error.message; }
  });
}

const live = document.querySelector("[data-again]");
if (live) {
  const again = setInterval(() => {
    if (!document.hidden && !writing() && !document.querySelector("details[open]")) location.reload();
  }, 1000 * Number(live.dataset.again));
  document.addEventListener("submit", () => clearInterval(again));
}
