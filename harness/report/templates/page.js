// The page can be read without this: it filters, unfolds, and opens what a link leads to.
"use strict";
const $ = (selector) => [...document.querySelectorAll(selector)];
const families = $(".family");
const rows = $(".matrix tbody tr");
const box = document.getElementById("filter");
const unfold = document.getElementById("unfold");
const wasOpen = new Map(families.map((family) => [family, family.open]));
let filtered = false;

function reveal() {
  let id = location.hash.slice(1);
  try {
    id = decodeURIComponent(id);
  } catch {
    // typed by hand; then there is nothing of that name either
  }
  const found = document.getElementById(id);
  for (let it = found; it; it = it.parentElement) if (it.tagName === "DETAILS") it.open = true;
  if (found) found.scrollIntoView();
}

function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (item) => words.every((word) => item.textContent.toLowerCase().includes(word));
  let shown = 0;
  if (words.length && !filtered) for (const family of families) wasOpen.set(family, family.open);
  filtered = words.length > 0;
  for (const row of rows) {
    row.hidden = !(matches(row) || matches(row.closest(".family").querySelector("h3")));
    shown += !row.hidden;
    const own = document.getElementById(row.querySelector("a.id").textContent);
    if (own) own.hidden = row.hidden;
  }
  for (const family of families) {
    family.hidden = !family.querySelector("tbody tr:not([hidden])");
    family.open = words.length ? true : wasOpen.get(family);
  }
  document.getElementById("shown").textContent = words.length ? `${shown} of ${rows.length}` : "";
}

document.querySelector(".tools").hidden = false;
box.addEventListener("input", filter);
unfold.addEventListener("click", () => {
  const open = families.some((family) => !family.open);
  for (const family of families) family.open = open;
});
for (const family of families)
  family.addEventListener("toggle", () => {
    unfold.textContent = families.some((one) => !one.open) ? "Unfold all" : "Fold all";
  });
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => families.forEach((family) => (family.open = true)));
reveal();
