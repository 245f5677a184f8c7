// The editor of a question: rows are added, removed and moved without a round trip. Without script the buttons submit.
import { announce } from "./announce.js";

const editor = document.querySelector("[data-editor]");
let made = 0;

// On a narrow screen the answer comes first; the question opens by a tap.
if (matchMedia("(width < 64rem)").matches) document.querySelector(".question[data-answered]")?.removeAttribute("open");

editor?.addEventListener("click", (event) => {
  const button = event.target.closest("button[name='do']");
  const rows = editor.querySelector("[data-rows]");
  if (!button || !rows || button.value === "show") return;
  const row = button.closest("[data-row]");
  if ("rowAdd" in button.dataset) add(rows);
  else if ("rowRemove" in button.dataset) remove(rows, row);
  else if ("rowUp" in button.dataset && row.previousElementSibling) move(row, row.previousElementSibling, "before", button);
  else if ("rowDown" in button.dataset && row.nextElementSibling) move(row, row.nextElementSibling, "after", button);
  else return;
  event.preventDefault();
  renumber(rows);
});

function add(rows) {
  const source = editor.querySelector("[data-row-template]");
  const row = source.content.firstElementChild.cloneNode(true);
  const key = `n${made++}`;
  for (const field of row.querySelectorAll("[name], [value]")) {
    for (const name of ["name", "value"]) {
      const text = field.getAttribute(name);
      if (text?.includes("__key__")) field.setAttribute(name, text.replace("__key__", key));
    }
  }
  rows.append(row);
  row.querySelector("input:not([type='hidden'])").focus();
  announce("Added");
}

function remove(rows, row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  next?.querySelector("input:not([type='hidden'])")?.focus();
  announce("Removed");
}

function move(row, other, where, button) {
  other[where](row);
  button.focus();
  announce(`Now number ${[...row.parentNode.children].indexOf(row) + 1}`);
}

function renumber(rows) {
  [...rows.querySelectorAll("[data-number]")].forEach((mark, place) => { mark.textContent = place + 1; });
}

// By mouse or finger: a row follows the pointer by its head.
editor?.addEventListener("pointerdown", (event) => {
  const head = event.target.closest(".step-head");
  if (!head || event.target.closest("button") || event.button !== 0) return;
  const row = head.closest("[data-row]");
  const rows = row.parentNode;
  event.preventDefault(); // no text is selected on the way
  row.dataset.held = "";
  const follow = ({ clientY }) => {
    for (const other of rows.children) {
      const box = other.getBoundingClientRect();
      if (other === row || clientY < box.top || clientY > box.bottom) continue;
      other[clientY < box.top + box.height / 2 ? "before" : "after"](row);
    }
  };
  const drop = () => {
    delete row.dataset.held;
    document.removeEventListener("pointermove", follow);
    document.removeEventListener("pointerup", drop);
    document.removeEventListener("pointercancel", drop);
    renumber(rows);
  };
  // On the document: a row that moves in it would lose a captured pointer.
  document.addEventListener("pointermove", follow);
  document.addEventListener("pointerup", drop);
  document.addEventListener("pointercancel", drop);
});

// Days are asked for when the range is one's own.
editor?.addEventListener("change", (event) => {
  if (!event.target.matches("[data-period]")) return;
  editor.querySelector("[data-custom]")?.toggleAttribute("data-off", event.target.value !== "custom");
});
