"use strict";
// The page of one scenario: all cells, and two of them side by side down to their traces.
(() => {
  const { h } = board;

  const history = (cell) =>
    h(
      "span",
      { class: "history" },
      cell.history.map(([status, count, first, last], at) => {
        const when = ([date, sha]) => [date, sha].filter(Boolean).join(" ");
        const said = `${board.word(status)} in ${board.counted(count, "run")}: ${when(first)}${count > 1 ? ` … ${when(last)}` : ""}`;
        return [
          at ? " → " : null,
          h(
            "span",
            { class: `st ${board.word(status)}`, title: said },
            `${board.glyph(status)} ${board.word(status)}${count > 1 ? ` ×${count}` : ""}`,
          ),
        ];
      }),
    );

  const eventText = (event, text) => (event ? event.map(text).filter(Boolean).join(" ") : "");

  // The first event at which two traces part; -1 if they are the same.
  const parting = (left, right) => {
    const length = Math.max(left.length, right.length);
    for (let at = 0; at < length; at += 1)
      if (!left[at] || !right[at] || left[at].join() !== right[at].join()) return at;
    return -1;
  };

  const traces = (chunk, left, right, text) => {
    const one = chunk.traces[left.trace],
      two = right ? chunk.traces[right.trace] : [];
    const at = right ? parting(one, two) : -1;
    const rows = [];
    const length = Math.max(one.length, two.length);
    for (let number = 0; number < length; number += 1) {
      if (number === at)
        rows.push(
          h(
            "tr",
            { class: "mark" },
            h(
              "td",
              { colspan: right ? 3 : 2 },
              h("b", null, "◆ Here the two part for the first time"),
            ),
          ),
        );
      const cellOf = (event) =>
        h(
          "td",
          { class: event ? null : "none" },
          event
            ? eventText(event, text)
            : number === Math.min(one.length, two.length)
              ? "the trace ends"
              : "",
        );
      rows.push(
        h(
          "tr",
          { class: at >= 0 && number >= at ? "parted" : null },
          h("td", { class: "number" }, String(number)),
          cellOf(one[number]),
          right ? cellOf(two[number]) : null,
        ),
      );
    }
    if (!length)
      rows.push(
        h(
          "tr",
          null,
          h(
            "td",
            { colspan: right ? 3 : 2, class: "muted" },
            "No trace: it did not run, or recorded nothing.",
          ),
        ),
      );
    const name = (cell) => [
      board.chip(cell.status, "", cell.unexpected),
      h("br"),
      board.index.columns[cell.column].name,
    ];
    const same = right
      ? at < 0
        ? "The two traces are the same, event by event."
        : `The traces part at event ${at}.`
      : "";
    return [
      h("p", { id: "parting" }, same),
      board.table("Traces side by side", ["#", name(left), ...(right ? [name(right)] : [])], rows, {
        class: "traces",
      }),
      [left, right]
        .filter((one) => one && one.cut && one.cut[0])
        .map((one) =>
          h(
            "p",
            { class: "muted" },
            `${one.cut[0]} events are left out of the middle; merged.json has them.`,
          ),
        ),
    ];
  };

  const folded = (title, content, open = false) =>
    h("details", { open }, h("summary", null, title), content);

  const side = (cell, text) => {
    const column = board.index.columns[cell.column];
    const list = (pairs) =>
      h(
        "dl",
        { class: "about" },
        pairs
          .filter(([, value]) => value !== null && value !== undefined && value !== "")
          .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
      );
    const [checks, broken] = cell.oracles;
    return h(
      "section",
      { class: "side", "aria-label": column.name },
      h(
        "h3",
        null,
        board.chip(cell.status, "", cell.unexpected),
        " ",
        h("a", { href: board.link(["column", column.name]) }, column.name),
      ),
      cell.reason !== undefined
        ? h("p", { class: `reason ${board.word(cell.status)}` }, text(cell.reason))
        : null,
      text(cell.replay) ? h("pre", { class: "replay", tabindex: "0" }, text(cell.replay)) : null,
      list([
        [
          "Expected",
          [
            cell.expected,
            cell.expected_reason === undefined
              ? ""
              : [": ", board.linked(text(cell.expected_reason))],
          ],
        ],
        ["Permit seen", cell.variant === undefined ? null : text(cell.variant)],
        ["Time", board.seconds(cell.seconds)],
        ["History", history(cell)],
        [
          "Oracles",
          !checks
            ? null
            : broken.length
              ? h(
                  "b",
                  { class: "surprise" },
                  broken.map(([name, detail]) => `${text(name)}: ${text(detail)}`).join("; "),
                )
              : `all ${checks} hold`,
        ],
        ...Object.entries(cell.info || {}).map(([name, value]) => [name, text(value)]),
        [
          "Counters",
          Object.entries(cell.counters)
            .map(([name, value]) => `${name} ${value.toLocaleString("en")}`)
            .join(", "),
        ],
      ]),
      cell.attempts.length > 1
        ? folded(
            `${board.counted(cell.attempts.length + (cell.more || 0), "attempt")}`,
            board.table(
              "Attempts",
              ["Status", "Seed", "Time", "Reason"],
              cell.attempts.map(([status, seconds, reason, seed]) =>
                h(
                  "tr",
                  null,
                  h("td", null, board.chip(status)),
                  h("td", null, String(seed)),
                  h("td", null, board.seconds(seconds)),
                  h("td", null, text(reason)),
                ),
              ),
            ),
            cell.unexpected,
          )
        : null,
      h("h4", null, "Timeline"),
      board.lanes(cell, text, `Timeline on ${column.name}`) ||
        h("p", { class: "muted" }, "Nothing to draw."),
      cell.timeline.length
        ? folded(
            `${board.counted(cell.timeline.length, "event")}, with clock and threads`,
            board.table(
              `Events on ${column.name}`,
              ["ms", "Thread", "Who", "Event", "Detail"],
              cell.timeline.map(([t, ...rest]) =>
                h(
                  "tr",
                  null,
                  h("td", { class: "number" }, (t / 1000).toFixed(3)),
                  rest.map((one) => h("td", null, text(one))),
                ),
              ),
              { class: "events" },
            ),
          )
        : null,
      [
        ["The reactor's own dump", "dump"],
        ["Stacks of every thread", "stacks"],
        ["Output", "output"],
      ].map(([title, key]) =>
        cell[key] === undefined
          ? null
          : folded(title, h("pre", { tabindex: "0" }, text(cell[key])), cell.unexpected),
      ),
    );
  };

  board.views.scenario = async (parameters, [id]) => {
    const { index } = board;
    const number = index.scenarios.findIndex((row) => row.id === id);
    if (number < 0)
      return [
        h("h1", { tabindex: "-1" }, "No such scenario"),
        h("p", null, `There is no scenario called ${id} on this board.`),
      ];
    const row = index.scenarios[number];
    const chunk = await board.load(`s${number}`);
    const text = (at) => (at === undefined ? "" : chunk.texts[at]);
    const byColumn = new Map(chunk.cells.map((cell) => [cell.column, cell]));
    const asked = (name) => byColumn.get(Number(parameters.get(name) ?? Number.NaN));
    const worst =
      chunk.cells.find((cell) => cell.unexpected) ||
      chunk.cells.find((cell) => board.word(cell.status) !== "PASS" && !board.apart(cell.status)) ||
      chunk.cells[0];
    let left = asked("at") || worst;
    const rival = () =>
      chunk.cells.find(
        (cell) => cell !== left && cell.trace !== left.trace && !board.apart(cell.status),
      ) ||
      chunk.cells.find((cell) => cell !== left && !board.apart(cell.status)) ||
      chunk.cells.find((cell) => cell !== left);
    let right = asked("with") || rival() || null;

    const holder = h("div");
    const choose = (label, key, value) =>
      h(
        "label",
        null,
        `${label} `,
        h(
          "select",
          {
            onchange: (event) => {
              const found = byColumn.get(Number(event.target.value)) || null;
              if (key === "at") left = found;
              else right = found;
              board.remember(["scenario", id], {
                at: left.column,
                with: right ? right.column : "",
              });
              draw();
              holder.querySelector(`select[data-key=${key}]`).focus();
            },
            "data-key": key,
          },
          key === "with" ? h("option", { value: "" }, "nothing") : null,
          chunk.cells.map((cell) =>
            h(
              "option",
              { value: cell.column, selected: cell === value },
              `${board.glyph(cell.status)} ${board.word(cell.status)}  ${index.columns[cell.column].name}`,
            ),
          ),
        ),
      );
    const draw = () =>
      holder.replaceChildren(
        h("div", { class: "tools" }, choose("Compare", "at", left), choose("with", "with", right)),
        ...traces(chunk, left, right === left ? null : right, text).flat(),
        h(
          "div",
          { class: "sides" },
          side(left, text),
          right && right !== left ? side(right, text) : null,
        ),
      );
    draw();

    const different = new Map();
    chunk.cells.forEach((cell) => {
      if (!board.apart(cell.status) && !different.has(cell.trace))
        different.set(cell.trace, String.fromCharCode(65 + (different.size % 26)));
    });
    const permits = Object.entries(chunk.permits);
    return [
      h(
        "p",
        { class: "crumbs" },
        h("a", { href: board.link([]) }, "Matrix"),
        " / ",
        h("a", { href: board.link([], { q: `family:${row.family}` }) }, row.family),
      ),
      h("h1", { tabindex: "-1", class: "id" }, row.id),
      h(
        "p",
        { class: "law" },
        h("b", null, `${index.laws[row.law] || `Law ${row.law}`}. `),
        row.text,
      ),
      h(
        "dl",
        { class: "about" },
        h("div", null, h("dt", null, "Provenance"), h("dd", null, board.linked(chunk.provenance))),
        h("div", null, h("dt", null, "Strictness"), h("dd", null, row.strict)),
        permits.map(([name, why]) =>
          h(
            "div",
            null,
            h("dt", null, "Permitted"),
            h("dd", null, h("code", null, name), `: ${why}`),
          ),
        ),
      ),
      h("h2", null, "Every column"),
      board.table(
        "Results in every column",
        ["Column", "Status", "Trace", "Time", "History", "Reason"],
        chunk.cells.map((cell) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, board.columnLink(cell.column)),
            h(
              "td",
              null,
              h(
                "a",
                {
                  class: `st ${board.word(cell.status)}${cell.unexpected ? " unexpected" : ""}`,
                  href: board.link(["scenario", id], { at: cell.column }),
                },
                `${board.glyph(cell.status)} ${board.word(cell.status)}`,
              ),
              cell.surprise
                ? h("small", { class: cell.unexpected ? "surprise" : "muted" }, ` ${cell.surprise}`)
                : null,
            ),
            h(
              "td",
              { title: "columns with the same letter have the same trace" },
              different.get(cell.trace) || "",
            ),
            h(
              "td",
              { class: "number" },
              board.apart(cell.status) ? "" : board.seconds(cell.seconds),
            ),
            h("td", null, history(cell)),
            h(
              "td",
              { class: "brief" },
              [
                cell.variant === undefined ? "" : `◇ ${text(cell.variant)}`,
                text(cell.reason).split("\n")[0].slice(0, 160),
              ]
                .filter(Boolean)
                .join("; "),
            ),
          ),
        ),
      ),
      h("h2", null, "Side by side"),
      holder,
    ];
  };
})();
