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
if (file) file.addEventListener("change", async () => {
  if (file.files.length) document.getElementById("table").value = await file.files[0].text();
});

const live = document.querySelector("[data-again]");
if (live) {
  const again = setInterval(() => {
    if (!document.hidden && !writing() && !document.querySelector("details[open]")) location.reload();
  }, 1000 * Number(live.dataset.again));
  document.addEventListener("submit", () => clearInterval(again));
}
