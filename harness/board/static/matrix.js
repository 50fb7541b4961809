"use strict";
// The matrix: scenarios by family, against backend, platform and Python.
(() => {
  const { h } = board;
  // Cells that may be drawn before anybody asks: more, and families stay folded.
  const ENOUGH = 4000;

  const families = (index) => {
    const found = new Map();
    index.scenarios.forEach((row, number) => {
      if (!found.has(row.family)) found.set(row.family, []);
      found.get(row.family).push(number);
    });
    return found;
  };

  // Neighbours that say the same share one heading.
  const spans = (columns, key) => {
    const found = [];
    for (const number of columns) {
      const said = key(board.index.columns[number]);
      const last = found.at(-1);
      if (last && last.said === said) last.span += 1;
      else found.push({ said, span: 1, number });
    }
    return found;
  };

  const heading = (columns) => {
    const place = (column) => column.platform;
    const poller = (column) => `${column.platform}\n${column.poller}`;
    const short = (number) => {
      const { backend, poller: whole } = board.index.columns[number];
      const at = whole.indexOf(backend);
      return [
        whole.slice(0, at),
        h("b", null, backend),
        h("small", null, whole.slice(at + backend.length)),
      ];
    };
    return h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { class: "corner", rowspan: 3, scope: "col" }, "Scenario"),
        spans(columns, place).map(({ said, span }) =>
          h("th", { scope: "colgroup", colspan: span, class: "platform" }, h("span", null, said)),
        ),
      ),
      h(
        "tr",
        null,
        spans(columns, poller).map(({ span, number }) =>
          h(
            "th",
            { scope: "colgroup", colspan: span, class: "poller" },
            h("span", null, short(number)),
          ),
        ),
      ),
      h(
        "tr",
        null,
        columns.map((number) =>
          h(
            "th",
            { scope: "col", class: "python" },
            h(
              "a",
              {
                href: board.link(["column", board.index.columns[number].name]),
                "aria-label": `${board.index.columns[number].name}: ${board.index.columns[number].verdict}`,
              },
              board.index.columns[number].good ? null : h("span", { class: "bad" }, "✗ "),
              board.index.columns[number].python.replace("CPython ", ""),
            ),
          ),
        ),
      ),
    );
  };

  const MARKS = ["", "", " info", " known"];

  const cell = (number, column) => {
    const found = board.index.cells[number][column];
    if (!found)
      return h(
        "td",
        { class: "none" },
        h("span", { class: "muted", "aria-label": "not run there" }, "–"),
      );
    const [status, mark, attempts, variant] = found;
    const unexpected = mark === 1;
    const word = board.word(status);
    const { id } = board.index.scenarios[number];
    const said = `${id}, ${board.index.columns[column].name}: ${word}${unexpected ? ", unexpected" : MARKS[mark]}${variant ? `, permitted: ${variant}` : ""}`;
    return h(
      "td",
      null,
      h(
        "a",
        {
          class: `st ${word}${unexpected ? " unexpected" : ""}`,
          href: board.link(["scenario", id], { at: column }),
          tabindex: "-1",
          "aria-label": said,
          title: variant ? `permitted: ${variant}` : null,
        },
        `${board.glyph(status)} ${word}`,
        attempts > 1 ? h("small", null, ` ×${attempts}`) : null,
        variant ? " ◇" : null,
        MARKS[mark] ? h("small", null, MARKS[mark]) : null,
      ),
      unexpected ? h("small", { class: "surprise", "aria-hidden": "true" }, "unexpected") : null,
    );
  };

  const order = () => {
    const rank = [
      "CRASH",
      "TIMEOUT",
      "FAIL",
      "ERROR",
      "FLAKY",
      "PASS",
      "UNSUPPORTED",
      "SKIP",
      "NOTRUN",
    ];
    return board.index.statuses
      .map((_, status) => status)
      .sort((a, b) => rank.indexOf(board.word(a)) - rank.indexOf(board.word(b)));
  };

  // What a family came to in one column: its statuses with their numbers, the gravest first.
  const summed = (numbers, column, ranks) => {
    const counts = new Map(),
      bad = new Map();
    for (const number of numbers) {
      const found = board.index.cells[number][column];
      if (!found) continue;
      counts.set(found[0], (counts.get(found[0]) || 0) + 1);
      if (found[1] === 1) bad.set(found[0], (bad.get(found[0]) || 0) + 1);
    }
    return h(
      "td",
      { class: "sum" },
      ranks.map((status) =>
        counts.has(status)
          ? h(
              "span",
              { class: `st ${board.word(status)}${bad.has(status) ? " unexpected" : ""}` },
              `${board.glyph(status)} ${board.word(status)} ${counts.get(status)}`,
            )
          : null,
      ),
    );
  };

  const scenarioRow = (number, columns) => {
    const row = board.index.scenarios[number];
    return h(
      "tr",
      { class: "row" },
      h(
        "th",
        { scope: "row", title: row.text },
        h(
          "a",
          { class: "id", href: board.link(["scenario", row.id]), tabindex: "-1" },
          h("span", { class: "family-of" }, `${row.family}.`),
          row.id.startsWith(`${row.family}.`) ? row.id.slice(row.family.length + 1) : row.id,
        ),
        row.strict === "MUST" ? null : h("small", { class: "tag" }, row.strict),
        row.parted
          ? h(
              "small",
              { class: "tag", title: "the traces of two columns part, and no permit says so" },
              "traces part",
            )
          : null,
      ),
      columns.map((column) => cell(number, column)),
    );
  };

  board.views.matrix = (parameters) => {
    const { index } = board;
    const ranks = order();
    const groups = families(index);
    const hasTrouble = (numbers) =>
      numbers.some((number) => index.cells[number].some((one) => one && one[1] === 1));
    const asked = parameters.get("open");
    const all = [...groups.keys()];
    const trouble = all.filter((name) => hasTrouble(groups.get(name)));
    let open = new Set(
      asked === null
        ? index.scenarios.length * index.columns.length <= ENOUGH / 4 && all.length === 1
          ? all
          : trouble
        : asked.split(",").filter(Boolean).map(decodeURIComponent),
    );
    const drawn = [...open].reduce(
      (sum, name) => sum + (groups.get(name) || []).length * index.columns.length,
      0,
    );
    if (asked === null && drawn > ENOUGH) open = new Set();

    const box = h("input", {
      id: "filter",
      type: "search",
      placeholder: "kqueue:fail  is:different  family:cancel …",
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": "shown",
      value: parameters.get("q") || "",
    });
    const shown = h("span", { id: "shown", role: "status" });
    const holder = h("div", {
      class: "matrix-holder",
      role: "region",
      "aria-label": "Matrix of results; arrow keys move in it",
      tabindex: "0",
    });
    const fold = h("button", { type: "button", id: "unfold" }, "Unfold all");

    const draw = () => {
      const query = board.query(box.value);
      const bodies = [];
      let count = 0;
      for (const [name, numbers] of groups) {
        const matching = query.narrow ? numbers.filter(query.matches) : numbers;
        if (!matching.length) continue;
        count += matching.length;
        const unfolded = query.narrow
          ? count * query.columns.length <= ENOUGH * 3 || open.has(name)
          : open.has(name);
        const toggle = h(
          "button",
          {
            type: "button",
            class: "fold",
            "aria-expanded": String(unfolded),
            tabindex: "-1",
            "data-family": name,
            onclick: () => {
              if (open.has(name)) open.delete(name);
              else open.add(name);
              save();
              draw();
              holder.querySelector(`[data-family="${CSS.escape(name)}"]`)?.focus();
            },
          },
          h("span", { class: "twist", "aria-hidden": "true" }, unfolded ? "▾" : "▸"),
          h("b", null, name),
          h("small", null, ` ${board.counted(matching.length, "scenario")}`),
        );
        bodies.push(
          h(
            "tbody",
            null,
            h(
              "tr",
              { class: "family" },
              h("th", { scope: "rowgroup" }, toggle),
              query.columns.map((column) => summed(matching, column, ranks)),
            ),
            unfolded ? matching.map((number) => scenarioRow(number, query.columns)) : null,
          ),
        );
      }
      const table = h(
        "table",
        { class: "matrix" },
        h(
          "caption",
          { class: "hidden" },
          "Scenarios by family, against backend, platform and Python",
        ),
        heading(query.columns),
        bodies,
      );
      table.style.setProperty("--columns", query.columns.length);
      holder.replaceChildren(
        bodies.length ? table : h("p", { class: "empty" }, "No scenario matches."),
      );
      if (bodies.length) board.navigate(table);
      const some = query.narrow || query.columns.length < index.columns.length;
      shown.textContent = query.problems.length
        ? query.problems.join("; ")
        : some
          ? `${count} of ${index.scenarios.length} scenarios, ${query.columns.length} of ${board.counted(index.columns.length, "column")}`
          : "";
      shown.className = query.problems.length ? "problem" : "muted";
      fold.textContent = all.every((name) => open.has(name)) ? "Fold all" : "Unfold all";
    };
    const save = () =>
      board.remember([], {
        q: box.value.trim(),
        open: [...open].map(encodeURIComponent).join(","),
      });
    let waiting = 0;
    box.addEventListener("input", () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => {
        save();
        draw();
      });
    });
    fold.addEventListener("click", () => {
      const every = all.every((name) => open.has(name));
      open = new Set(every ? [] : all);
      save();
      draw();
    });
    const examples = ["is:unexpected", "is:different", "is:flaky", "any:unsupported", "col:linux"];
    draw();
    return [
      h("p", { class: "kicker" }, index.title === "reactorlab" ? null : index.title),
      h(
        "h1",
        { class: index.good ? "good" : "bad", tabindex: "-1" },
        h("span", { class: "where" }, index.where),
        h(
          "span",
          { class: "verdict" },
          h("span", { "aria-hidden": "true", class: "sign" }, index.good ? "✓ " : "✗ "),
          index.verdict,
        ),
      ),
      board.shares(index.counts),
      board.counts(index.counts),
      index.changes
        ? h(
            "p",
            { class: "since" },
            "Since the earlier runs: ",
            h("a", { href: board.link(["changes"]) }, index.changes.sentence),
          )
        : null,
      board.legend(),
      h("div", { class: "tools" }, h("label", { for: "filter" }, "Filter"), box, fold, shown),
      h(
        "p",
        { class: "examples" },
        "Try ",
        examples.map((one) => [
          h(
            "button",
            {
              type: "button",
              class: "example",
              onclick: () => {
                box.value = one;
                save();
                draw();
              },
            },
            one,
          ),
          " ",
        ]),
        h("a", { href: board.link(["query"]) }, "How to ask"),
      ),
      holder,
    ];
  };
})();
