"use strict";
// The page works on what is inside it: #data has every number, #packed the tables as text and the paired differences.
(async () => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  for (const table of data.tables) table.columns = table.columns.map((column) => ({...data.usual, ...column}));
  const tables = [...document.querySelectorAll("table.results[data-table]")].map((element) => {
    const model = data.tables[element.dataset.table];
    const rows = [...element.tBodies[0].rows];
    return {element, model, rows, order: rows.map((_, place) => place), sorted: null};
  });
  const tableOf = (node) => tables.find((table) => table.element.contains(node));

  function make(tag, text, attributes = {}) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function svg(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function unpack() {
    const bytes = Uint8Array.from(atob(byId("packed").textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  const minus = (text) => text.replace("-", "\u2212");
  function signed(value, digits) {  // what rounds to nothing has no sign
    const text = Math.abs(value).toFixed(digits);
    return (Number(text) ? value > 0 ? "+" : "\u2212" : "") + text;
  }

  const exactly = (value) => minus(value.toLocaleString("en-US", {maximumFractionDigits: 6}));

  // --- Values ---------------------------------------------------------------------------------------------------

  function valueAt(table, row, column) {
    const fields = (table.model.rows[row].values ?? [])[column];
    return fields && Object.fromEntries(data.fields.map((name, i) => [name, fields[i] ?? null]));
  }

  // --- Sorting: best first, worst first, as it was --------------------------------------------------------------

  function sort(table, column) {
    const better = column < 0 ? false : table.model.columns[column].higher_is_better !== false;
    const first = better ? "descending" : "ascending";
    const second = better ? "ascending" : "descending";
    const next = {none: first, [first]: second, [second]: "none"};
    const how = next[table.sorted?.column === column ? table.sorted.how : "none"];
    table.sorted = how === "none" ? null : {column, how};
    const key = (row) => column < 0 ? table.model.rows[row].name : valueAt(table, row, column)?.measured ?? null;
    const sign = how === "descending" ? -1 : 1;
    const order = [...table.order];
    if (how !== "none") {
      order.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (column < 0 ? x.localeCompare(y, "en", {numeric: true}) : x - y);
      });
    }
    table.element.tBodies[0].prepend(...order.map((row) => table.rows[row]));
    const heads = table.element.tHead.rows[table.element.tHead.rows.length - 1].cells;
    [...heads].forEach((head, i) => {
      if (i - 1 === column && how !== "none") head.setAttribute("aria-sort", how);
      else head.removeAttribute("aria-sort");
    });
    const title = column < 0 ? "Model" : table.model.columns[column].heading;
    say(how === "none" ? "in the first order" : `sorted by ${title}, ${how}`);
  }

  // --- Filtering ------------------------------------------------------------------------------------------------

  const statuses = (row) => {
    const given = (row.values ?? []).map((fields) => data.verdicts[fields[5] ?? 0]).filter(Boolean);
    const measured = (row.values ?? []).some((fields) => typeof fields[0] === "number");
    return new Set([...given, ...(row.status ? [row.status] : []), ...(measured ? ["measured"] : [])]);
  };

  function filter() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = byId("verdict").value;
    let shown = 0, all = 0;
    for (const table of tables) {
      let here = 0;
      table.model.rows.forEach((row, place) => {
        const text = [row.name, row.model, ...(row.said ?? []), row.status, row.reason, table.model.on].join(" ").toLowerCase();
        const fits = words.every((word) => text.includes(word)) && (!wanted || statuses(row).has(wanted));
        table.rows[place].hidden = !fits;
        here += fits;
      });
      table.nothing.hidden = here > 0 || !table.rows.length;
      shown += here;
      all += table.rows.length;
      renewStop(table);
    }
    byId("count").textContent = words.length || wanted ? `${shown} of ${all} rows` : `${all} rows`;
  }

  function startFilter() {
    const found = new Set(tables.flatMap((table) => table.model.rows.flatMap((row) => [...statuses(row)])));
    const order = ["measured", ...data.verdicts, "n/a", "failed", "invalid", "unfinished"].filter((word) => found.has(word));
    byId("verdict").append(...order.map((word) => make("option", word, {value: word})));
    for (const table of tables) {
      table.nothing = make("tr", undefined, {class: "empty"});
      table.nothing.append(make("td", "no row fits", {colspan: table.model.columns.length + 1}));
      table.element.tBodies[0].append(table.nothing);
    }
    byId("filter").addEventListener("input", filter);
    byId("verdict").addEventListener("change", filter);
    document.querySelector(".bar").addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      byId("filter").value = byId("verdict").value = "";
      filter();
    });
    filter();
  }

  // --- What stands behind a number ------------------------------------------------------------------------------

  const pop = byId("pop");
  let behind = null;

  function facts(table, row, column) {
    const value = valueAt(table, row, column);
    const about = table.model.columns[column];
    const source = data.cells[value.cell ?? table.model.rows[row].cell];
    const found = [];
    const add = (name, text) => text !== null && text !== undefined && text !== "" && found.push([name, String(text)]);
    if (value.measured !== null) add("measured", exactly(value.measured));
    if (value.low !== null) add(about.spread, `${exactly(value.low)} to ${exactly(value.high)}`);
    if (value.bound !== null) add("other settings", `move it by ${exactly(value.bound)} at most`);
    if (value.published !== null) {
      add("published", `${exactly(value.published)} (${about.published || "paper"})`);
      if (value.exact !== null) add("authors' script", exactly(value.exact));
      if (value.difference !== null) add("difference", signed(value.difference, 3));
      add("verdict", data.verdicts[value.verdict]);
    }
    if (value.why !== null) add("why", data.whys[value.why]);
    if (source && value.measured !== null) {
      const protocol = data.protocols[source.protocol];
      add("protocol", protocol.name);
      const {text, sha256} = data.weights[source.weights];
      add("weights", text + (sha256 ? `, SHA-256 ${sha256.slice(0, 16)}\u2026` : ""));
      add("engine", `${source.engine} ${source.precision}`);
      add("device", data.devices[source.device]);
      add("of", source.objects ? `${source.objects.toLocaleString("en-US")} objects, ${source.images.toLocaleString("en-US")} images`
        : `${source.images.toLocaleString("en-US")} images`);
      if (source.failed_images) add("failed", `${source.failed_images.toLocaleString("en-US")} of these images, in no number`);
      add("run", source.run);
    }
    return found;
  }

  function show(anchor, title, about, found) {
    hide();
    behind = anchor;
    pop.replaceChildren(make("p", title));
    if (about) pop.append(make("div", about));
    const list = make("dl");
    for (const [name, text] of found) list.append(make("dt", name), make("dd", text));
    if (found.length) pop.append(list);
    pop.hidden = false;
    anchor.setAttribute("aria-describedby", "pop");
    const at = anchor.getBoundingClientRect(), own = pop.getBoundingClientRect();
    const below = at.bottom + 4 + own.height < innerHeight || at.top < own.height + 4;
    pop.style.left = `${Math.max(8, Math.min(at.right - own.width, innerWidth - own.width - 8))}px`;
    pop.style.top = `${Math.max(4, Math.min(below ? at.bottom + 2 : at.top - own.height - 2, innerHeight - own.height - 4))}px`;
  }

  function hide() {
    behind?.removeAttribute("aria-describedby");
    behind = null;
    pop.hidden = true;
  }

  function explain(target) {
    const cell = target.closest("td[tabindex], thead th[scope=col]");
    const table = cell && tableOf(cell);
    if (!table) return;
    const column = cell.cellIndex - 1;
    const about = table.model.columns[column];
    if (cell.tagName === "TH") {
      if (about?.about) show(cell.querySelector("button"), about.heading, about.about, []);
      return;
    }
    const row = table.rows.indexOf(cell.parentElement);
    show(cell, `${table.model.rows[row].name}: ${about.heading}`, "", facts(table, row, column));
  }

  function startPop() {
    let leaving;
    const stay = () => clearTimeout(leaving);
    const leave = () => { stay(); leaving = setTimeout(() => document.activeElement !== behind && hide(), 120); };
    for (const table of tables) {
      table.element.addEventListener("pointerover", (event) => { if (event.pointerType !== "touch") { stay(); explain(event.target); } });
      table.element.addEventListener("pointerout", leave);
      table.element.addEventListener("focusin", (event) => { stay(); if (event.target.matches(":focus-visible")) explain(event.target); });
      table.element.addEventListener("focusout", leave);
      table.element.addEventListener("click", (event) => explain(event.target));
    }
    pop.addEventListener("pointerenter", stay);
    pop.addEventListener("pointerleave", leave);
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
    document.addEventListener("pointerdown", (event) => !pop.contains(event.target) && hide());
    addEventListener("scroll", () => document.activeElement !== behind && hide(), {passive: true});
  }

  // --- Keys: a table is one stop; arrows move in it -------------------------------------------------------------

  const stops = (table) => [
    [...table.element.tHead.rows].at(-1).querySelectorAll("button"),
    ...[...table.element.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.querySelectorAll("td[tabindex]")),
  ].map((row) => [...row]).filter((row) => row.length);

  function renewStop(table) {
    const every = stops(table).flat();
    if (!every.includes(table.stop)) moveStop(table, every[0]);
  }

  function moveStop(table, to) {
    if (table.stop) table.stop.tabIndex = -1;
    table.stop = to;
    if (to) to.tabIndex = 0;
  }

  function onArrow(table, event) {
    const grid = stops(table), at = event.target;
    const y = grid.findIndex((row) => row.includes(at));
    if (y < 0) return;
    const column = (node) => node.closest("th, td").cellIndex;
    const nearest = (row) => row?.reduce((best, node) =>
      Math.abs(column(node) - column(at)) < Math.abs(column(best) - column(at)) ? node : best);
    const x = grid[y].indexOf(at);
    const to = {
      ArrowLeft: grid[y][x - 1], ArrowRight: grid[y][x + 1], ArrowUp: nearest(grid[y - 1]), ArrowDown: nearest(grid[y + 1]),
      Home: grid[y][0], End: grid[y].at(-1),
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    if (to[event.key]) { moveStop(table, to[event.key]); to[event.key].focus(); }
  }

  function startKeys() {
    for (const table of tables) {
      table.element.setAttribute("role", "grid");
      table.element.setAttribute("aria-readonly", "true");
      table.rows.forEach((row, place) => (table.model.rows[place].values ?? []).forEach((fields, column) => {
        if (fields.length) row.cells[column + 1].tabIndex = -1;
      }));
      for (const button of table.element.tHead.querySelectorAll("button")) {
        button.tabIndex = -1;
        button.addEventListener("click", () => { moveStop(table, button); sort(table, button.closest("th").cellIndex - 1); });
      }
      table.element.addEventListener("keydown", (event) => onArrow(table, event));
    }
  }

  // --- Copying --------------------------------------------------------------------------------------------------

  const say = (text) => { byId("said").textContent = text; };

  function copyByHand(text) {  // a page from a disk may not have the clipboard
    const box = make("textarea", undefined, {readonly: "", "aria-hidden": "true", class: "hidden"});
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done;
  }

  async function copy(button, text) {
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch { done = copyByHand(text); }
    const before = button.dataset.name ??= button.textContent;
    button.textContent = done ? "copied" : "not allowed";
    button.classList.toggle("done", done);
    say(done ? `${before} copied` : "the browser does not allow copying");
    setTimeout(() => { button.textContent = before; button.classList.remove("done"); }, 1600);
  }

  function startCopies(copies) {
    for (const button of document.querySelectorAll("[data-copy]")) {
      const number = button.closest(".part").querySelector("table").dataset.table;
      button.addEventListener("click", () => copy(button, copies[number][button.dataset.copy]));
    }
  }

  // --- Two models -----------------------------------------------------------------------------------------------

  let pairs = null;
  const pairOf = (fields, names) => Object.fromEntries(names.map((name, i) => [name, fields[i] ?? null]));

  function turned(row) {  // the same difference, the other way round
    const flip = (value) => value === null ? null : -value;
    return {...row, a: row.b, b: row.a, value_a: row.value_b, value_b: row.value_a, difference: flip(row.difference),
      low: flip(row.high), high: flip(row.low), better: row.worse, worse: row.better};
  }

  function bar(row, reach) {
    const x = (value) => 50 + 48 * value / reach;
    const drawn = svg("svg", {viewBox: "0 0 100 12", "aria-hidden": "true", preserveAspectRatio: "none"});
    drawn.append(svg("line", {class: "axis", x1: 50, x2: 50, y1: 0, y2: 12}));
    if (row.low !== null) drawn.append(svg("line", {class: "range", x1: x(row.low), x2: x(row.high), y1: 6, y2: 6}));
    drawn.append(svg("rect", {class: "dot", x: x(row.difference) - 1, y: 2, width: 2, height: 8}));
    return drawn;
  }

  function pairRow(row, {heading, digits}, reach) {
    const line = make("tr");
    const sure = row.low !== null && row.low * row.high > 0;
    const count = (value) => value === null ? "" : value.toLocaleString("en-US");
    const probability = (value) => value === null ? "" : value < 0.001 ? "< 0.001" : value.toFixed(3);
    const interval = row.low === null ? "" : `${signed(row.low, digits)} to ${signed(row.high, digits)}`;
    line.append(make("th", heading, {scope: "row"}), make("td", row.value_a.toFixed(digits)), make("td", row.value_b.toFixed(digits)),
      make("td", signed(row.difference, digits), sure ? {class: "sure"} : {}), make("td", interval));
    const drawn = make("td");
    if (reach) drawn.append(bar(row, reach));
    line.append(drawn, make("td", probability(row.p_holm)),
      ...[row.better, row.worse, row.within, row.n_instances].map((value) => make("td", count(value))));
    return line;
  }

  function pairTable(found, names) {
    const table = make("table", undefined, {class: "pair"});
    const head = make("tr");
    const titles = ["", ...names, "difference", "95% interval", "", "p (Holm)", "better", "worse", "within", "objects"];
    head.append(...titles.map((title) => title ? make("th", title, {scope: "col"}) : make("td")));
    table.createTHead().append(head);
    const body = table.createTBody();
    const groups = grouped(found);
    for (const [place, rows] of groups) {
      const line = make("tr", undefined, {class: "under"});
      line.append(make("th", place, {scope: "rowgroup", colspan: titles.length}));
      body.append(line);
      const reach = Math.max(...rows.flatMap((row) => [row.low, row.high, row.difference].map(Math.abs)));
      body.append(...rows.map((row) => pairRow(row, pairs.metrics[row.metric], reach)));
    }
    return table;
  }

  const placeOf = (row) => {
    const about = pairs.metrics[row.metric];
    return `${about.title} on ${about.dataset}, ${about.protocol}${about.suite === "throughput" ? "" : " protocol"}`;
  };

  function grouped(rows) {
    const groups = new Map();
    for (const row of rows) groups.set(placeOf(row), [...(groups.get(placeOf(row)) ?? []), row]);
    return groups;
  }

  function showPair() {
    const [a, b] = ["pair-a", "pair-b"].map((id) => Number(byId(id).value));
    const {labels, rows, refused, fields} = pairs;
    const found = rows.map((row) => pairOf(row, fields)).flatMap((row) =>
      row.a === a && row.b === b ? [row] : row.a === b && row.b === a ? [turned(row)] : []);
    const reasons = refused.filter(([x, y]) => (x === a && y === b) || (x === b && y === a));
    const out = byId("pair");
    out.replaceChildren();
    if (found.length) {
      const box = make("div", undefined, {class: "scroll", role: "region", tabindex: "0", "aria-label": "Paired differences, table"});
      const names = [labels[a], labels[b]].map((label) => label.split(", ")[0]);
      box.append(pairTable(found, names[0] === names[1] ? ["first", "second"] : names));
      out.append(box);
    } else out.append(make("p", a === b ? "Choose two models." : "The two have no number in common."));
    if (reasons.length) {
      const list = make("ul", undefined, {class: "notes"});
      for (const [, , suite, dataset, reason] of reasons) list.append(make("li", `${suite} on ${dataset}: not subtracted, ${reason}.`));
      out.append(list);
    }
    measure();
  }

  function startPairs(found) {
    pairs = found;
    if (!pairs) return;
    const [a, b] = ["pair-a", "pair-b"].map(byId);
    for (const select of [a, b]) select.append(...pairs.labels.map((label, i) => make("option", label, {value: i})));
    const first = pairs.rows[0] ?? pairs.refused[0] ?? [0, 0];
    [a.value, b.value] = first;
    for (const select of [a, b]) select.addEventListener("change", showPair);
    byId("swap").addEventListener("click", () => { [a.value, b.value] = [b.value, a.value]; showPair(); });
    showPair();
  }

  // --- The rest -------------------------------------------------------------------------------------------------

  function startGallery() {
    const gallery = document.querySelector(".gallery");
    if (!byId("masks")) return;
    byId("masks").addEventListener("change", (event) => gallery.classList.toggle("bare", !event.target.checked));
    byId("prompts").addEventListener("change", (event) => gallery.classList.toggle("unprompted", !event.target.checked));
  }

  function measure() {  // which tables and figures go on to the right
    for (const box of document.querySelectorAll(".scroll, .canvas")) {
      box.classList.remove("fits", "more");
      const more = box.scrollWidth > box.clientWidth + 1;
      box.classList.add(more ? "more" : "fits");
      if (more) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  function startTheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)"), root = document.documentElement, button = byId("theme");
    const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    const show = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; show(); });
    dark.addEventListener("change", show);
    show();
  }

  function startPrint() {
    let closed = [];
    matchMedia("print").addEventListener("change", (event) => {
      if (event.matches) closed = [...document.querySelectorAll("details:not([open])")];
      for (const details of closed) details.open = event.matches;
    });
    const contents = document.querySelector(".contents details"), wide = matchMedia("(min-width: 75rem)");
    const fit = () => { contents.open = wide.matches; };
    wide.addEventListener("change", fit);
    fit();
  }

  document.documentElement.classList.add("script");
  startKeys();
  startFilter();
  startPop();
  startGallery();
  startTheme();
  startPrint();
  measure();
  addEventListener("resize", measure);
  const packed = await unpack();
  startCopies(packed.copies);
  startPairs(packed.pairs);
  document.documentElement.classList.add("ready");
})();
