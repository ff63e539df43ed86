"use strict";
// The table of all claims: filtered, sorted and shown a page at a time, so that ten thousand rows stay quick.
(() => {
  const PAGE = 50;
  const data = JSON.parse(document.getElementById("claims-data").textContent);
  const body = document.getElementById("claims-body");
  const form = document.getElementById("claims-filters");
  const said = document.getElementById("claims-said");
  const heads = [...document.querySelectorAll("#claims-table th")];
  let order = { column: 0, down: false }, page = 0, found = [];

  const words = data.rows.map((row) => data.columns.map((column, i) => column.find ? String(row[i]) : "").join("\n").toLowerCase());
  const at = (name) => data.columns.findIndex((column) => column.name === name);

  function keeps(row, index, wanted) {
    if (wanted.text && !words[index].includes(wanted.text)) return false;
    if (wanted.label && row[at("label")] !== wanted.label) return false;
    if (wanted.only === "unsure") return row[at("probability")] === null || row[at("probability")] < 0.8;
    if (wanted.only === "rival") return row[at("rival")] !== null && row[at("rival")] !== row[at("label")];
    if (wanted.only === "golden") return row[at("golden")] !== null && row[at("golden")] !== row[at("label")];
    return true;
  }

  function compare(one, two) {
    const a = one[order.column], b = two[order.column];
    // What is missing comes last, whichever way the column is sorted.
    if (a === null || b === null) return (a === null) - (b === null);
    const rising = typeof a === "number" ? a - b : String(a).localeCompare(String(b));
    return order.down ? -rising : rising;
  }

  function cell(value, column) {
    const td = document.createElement("td");
    td.className = column.class || "";
    // Never as HTML: what a claim holds is text.
    td.textContent = value === null ? "–" : column.percent ? (100 * value).toFixed(1) + " %"
      : column.digits !== undefined ? value.toFixed(column.digits) : value;
    return td;
  }

  function show() {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(page, last);
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const tr = document.createElement("tr");
      tr.append(...data.columns.map((column, i) => cell(row[i], column)));
      return tr;
    }));
    const from = found.length ? page * PAGE + 1 : 0;
    said.textContent = `${from}–${Math.min((page + 1) * PAGE, found.length)} of ${found.length}`
      + (found.length < data.rows.length ? `, ${data.rows.length} in all` : "");
    document.getElementById("claims-back").disabled = page === 0;
    document.getElementById("claims-on").disabled = page === last;
    heads.forEach((head, i) => head.setAttribute("aria-sort",
      i !== order.column ? "none" : order.down ? "descending" : "ascending"));
  }

  function refresh() {
    const wanted = { text: form.elements.text.value.toLowerCase(), label: form.elements.label.value, only: form.elements.only.value };
    found = data.rows.filter((row, index) => keeps(row, index, wanted)).sort(compare);
    page = 0;
    show();
  }

  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
    order = { column: i, down: order.column === i && !order.down };
    refresh();
  }));
  let waiting;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 120); });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("claims-back").addEventListener("click", () => { page -= 1; show(); });
  document.getElementById("claims-on").addEventListener("click", () => { page += 1; show(); });
  refresh();
})();
