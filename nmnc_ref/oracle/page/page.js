"use strict";

const table = document.getElementById("rows");
const bodies = [...table.tBodies];
const controls = document.querySelector(".controls");
const openAll = document.getElementById("open-all");

function open(body, shown) {
  body.rows[1].hidden = !shown;
  body.querySelector(".opens").setAttribute("aria-expanded", shown);
}

for (const body of bodies) {
  body.rows[0].addEventListener("click", () => {
    if (getSelection().isCollapsed) open(body, body.rows[1].hidden);
  });
}

openAll.addEventListener("click", () => {
  const shown = openAll.getAttribute("aria-pressed") === "false";
  openAll.setAttribute("aria-pressed", shown);
  bodies.forEach(body => open(body, shown));
});

// Sorting: numbers as numbers, what has no value last in either direction.
function compare(a, b) {
  const numbers = [Number(a), Number(b)];
  return numbers.some(Number.isNaN) ? a.localeCompare(b, "en", { numeric: true }) : numbers[0] - numbers[1];
}

table.querySelectorAll(".sort").forEach((button, column) => {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    table.querySelectorAll("[aria-sort]").forEach(each => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
    const key = body => body.rows[0].cells[column].dataset.key;
    const sign = direction === "ascending" ? 1 : -1;
    bodies.sort((a, b) => (key(a) === "") - (key(b) === "") || sign * compare(key(a), key(b)));
    table.append(...bodies);
  });
});

const texts = new Map(bodies.map(body => [body, body.textContent.toLowerCase().replace(/\s+/g, " ")]));

function filter() {
  const words = controls.elements.text.value.toLowerCase().split(/\s+/);
  const facets = [...controls.querySelectorAll("select")].filter(select => select.value);
  for (const body of bodies) {
    body.hidden =
      !words.every(word => texts.get(body).includes(word)) ||
      !facets.every(select => body.dataset[select.name] === select.value);
  }
  controls.querySelector("output").value = `${bodies.filter(body => !body.hidden).length} of ${bodies.length}`;
}

controls.addEventListener("input", filter);
controls.addEventListener("submit", event => event.preventDefault());

// The address of a row opens it.
function follow() {
  const body = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!bodies.includes(body)) return;
  controls.reset();
  filter();
  open(body, true);
  body.scrollIntoView();
}

addEventListener("hashchange", follow);
filter(); // what a browser kept in the form from before
follow();
