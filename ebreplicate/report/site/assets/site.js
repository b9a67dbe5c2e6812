// Sorting, filtering and linkable views for the tables that are there without it. No requests, no storage.
"use strict";

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** A table's rows with what they are searched, filtered and sorted by. */
function rowsOf(table) {
  return [...table.tBodies[0].rows].map((element, place) => ({
    element,
    place,
    text: element.textContent.toLowerCase(),
    cells: [...element.cells].map((cell) => cell.dataset.v ?? cell.textContent.trim()),
  }));
}

/** Compare two cells of a column; what is not a number comes last, whichever way a column is sorted. */
function compare(a, b, numeric, sign) {
  if (!numeric) return sign * collator.compare(a, b);
  const [x, y] = [a, b].map((v) => (v === "" ? NaN : Number(v)));
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
  return sign * (x - y);
}

class Ledger {
  constructor(table) {
    this.table = table;
    this.rows = rowsOf(table);
    this.limit = Number(table.dataset.rows) || Infinity;
    this.form = document.querySelector(`form[data-for="${table.id}"]`);
    this.linked = "state" in table.dataset;
    this.sort = { key: "", direction: "" };
    this.everything = false;
    table.removeAttribute("data-rows"); // from here on this script decides what is shown
    this.addButtons();
    if (this.form) this.addFilters();
    if (this.linked) {
      addEventListener("hashchange", () => this.restore());
      this.restore();
    } else this.show();
  }

  addButtons() {
    this.heads = [...this.table.tHead.rows[0].cells].filter((head) => head.dataset.sort);
    for (const head of this.heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => this.turn(head.dataset.sort));
    }
  }

  addFilters() {
    this.form.hidden = false;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.changed());
    this.form.addEventListener("reset", (event) => {
      event.preventDefault(); // the browser's own reset comes after this event, and would not be shown
      for (const field of this.fields()) field.value = "";
      this.sort = { key: "", direction: "" };
      this.changed();
    });
  }

  /** Ascending, descending, as written. */
  turn(key) {
    const next = { "": "ascending", ascending: "descending", descending: "" };
    const direction = next[this.sort.key === key ? this.sort.direction : ""];
    this.sort = direction ? { key, direction } : { key: "", direction: "" };
    this.changed();
  }

  changed() {
    this.everything = false;
    this.show();
    if (this.linked) this.remember();
  }

  fields() {
    return this.form ? [...this.form.elements].filter((field) => field.name) : [];
  }

  remember() {
    const state = new URLSearchParams();
    for (const field of this.fields()) if (field.value) state.set(field.name, field.value);
    if (this.sort.key) state.set("sort", (this.sort.direction === "descending" ? "-" : "") + this.sort.key);
    const hash = "#" + state;
    if (hash !== (location.hash || "#")) history.replaceState(null, "", hash);
  }

  restore() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const field of this.fields()) {
      const value = state.get(field.name) ?? "";
      const known = field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value);
      field.value = known ? value : "";
    }
    const sort = state.get("sort") ?? "";
    const key = sort.replace(/^-/, "");
    const known = this.heads.some((head) => head.dataset.sort === key);
    this.sort = known ? { key, direction: sort.startsWith("-") ? "descending" : "ascending" } : { key: "", direction: "" };
    this.show();
  }

  matching() {
    const chosen = this.fields().filter((field) => field.value);
    const words = chosen.filter((f) => f.name === "q").flatMap((f) => f.value.toLowerCase().split(/\s+/).filter(Boolean));
    const facets = chosen.filter((field) => field.name !== "q" && field.value !== "any");
    const hiding = this.fields().filter((field) => !field.value && field.dataset.hides);
    return this.rows.filter(
      (row) =>
        facets.every((f) => row.element.dataset[f.name] === f.value) &&
        hiding.every((f) => row.element.dataset[f.name] !== f.dataset.hides) &&
        words.every((w) => row.text.includes(w)),
    );
  }

  show() {
    const found = this.matching();
    for (const head of this.heads) {
      if (head.dataset.sort !== this.sort.key) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.sort.direction);
    }
    if (this.sort.key) {
      const head = this.heads.find((h) => h.dataset.sort === this.sort.key);
      const column = head.cellIndex;
      const sign = this.sort.direction === "descending" ? -1 : 1;
      const numeric = "number" in head.dataset;
      found.sort((a, b) => compare(a.cells[column], b.cells[column], numeric, sign) || a.place - b.place);
    }
    const shown = this.everything ? found : found.slice(0, this.limit);
    const [body, next] = [this.table.tBodies[0], shown.map((row) => row.element)];
    const same = body.rows.length === next.length && next.every((element, i) => element === body.rows[i]);
    if (!same) body.replaceChildren(...next); // a row that is taken out and put back is no longer the link's target
    this.tell(shown.length, found.length);
  }

  tell(shown, found) {
    const output = this.form?.querySelector("output");
    const what = found === 0 ? "No row matches." : `${found.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")} rows`;
    if (output) output.textContent = what + (shown < found ? `, the first ${shown} shown` : "");
    this.more?.remove();
    if (shown === found) return;
    this.more = document.createElement("button");
    this.more.type = "button";
    this.more.className = "more";
    this.more.textContent = `Show all ${found.toLocaleString("en")} rows`;
    this.more.addEventListener("click", () => {
      const next = this.table.tBodies[0].rows.length;
      this.everything = true;
      this.show();
      this.table.tBodies[0].rows[next].querySelector("a")?.focus();
    });
    (this.table.closest(".scroll") ?? this.table).after(this.more);
  }
}

for (const table of document.querySelectorAll("table.ledger")) if (table.tHead?.querySelector("[data-sort]")) new Ledger(table);

/** A link to something inside a closed list opens it. */
function reveal() {
  const target = document.getElementById(location.hash.slice(1)); // ids are plain: letters, digits, dots, hyphens
  if (!target) return;
  target.querySelectorAll("details").forEach((d) => { d.open = true; });
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
