// Keyboard shortcuts press buttons; a note is saved as a draft; chosen files are uploaded; the watch reloads.
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
  const status = document.getElementById("kept");
  let timer = null;
  const saveDraft = async () => {
    timer = null;
    const fields = new URLSearchParams({ csrf: form.elements.csrf.value, slot: form.elements.slot.value, note: note.value });
    try {
      const response = await fetch("/desk/draft", { method: "POST", body: fields });
      status.textContent = response.ok ? status.dataset.saved : status.dataset.lost;
    } catch { status.textContent = status.dataset.lost; }
  };
  note.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(saveDraft, 250); });
}

const file = document.getElementById("file");
if (file) {
  const importForm = document.getElementById("import"), status = document.getElementById("chosen");
  const isTable = chosen => /\.csv$/i.test(chosen.name) || chosen.type === "text/csv";
  const mediaFiles = () => [...file.files].filter(chosen => !isTable(chosen));
  file.addEventListener("change", async () => {
    const table = [...file.files].find(isTable);
    if (table) document.getElementById("table").value = await table.text();
    status.textContent = [...file.files].map(chosen => chosen.name).slice(0, 12).join(", ") + (file.files.length > 12 ? " …" : "");
  });
  const upload = async media => {
    const headers = { "x-csrf": importForm.elements.csrf.value, "x-name": encodeURIComponent(media.name) };
    const response = await fetch("/desk/upload", { method: "POST", headers, body: media });
    if (response.ok) return (await response.json()).kept;
    const alert = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[role=alert]");
    throw new Error(alert ? alert.textContent : response.status);
  };
  importForm.addEventListener("submit", async event => {
    const files = mediaFiles();
    if (!files.length || importForm.elements.files.value) return;
    event.preventDefault();
    const references = {};
    try {
      for (const [index, media] of files.entries()) {
        status.textContent = importForm.dataset.sending.replace("##", files.length).replace("#", index + 1);
        references[media.name] = await upload(media);
      }
      importForm.elements.files.value = JSON.stringify(references);
      importForm.submit();
    } catch (error) { status.textContent = importForm.dataset.failed + ": " + error.message; }
  });
}

const reloading = document.querySelector("[data-again]");
if (reloading) {
  const timer = setInterval(() => {
    if (!document.hidden && !writing() && !document.querySelector("details[open]")) location.reload();
  }, 1000 * Number(reloading.dataset.again));
  document.addEventListener("submit", () => clearInterval(timer));
}
