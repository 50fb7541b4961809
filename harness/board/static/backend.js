"use strict";
// The page of one column: failures first, what it lacks, what is slow, and its calls beside the others'.
(() => {
  const { h, svg } = board;

  const failing = (number) =>
    board.index.scenarios
      .flatMap((row, at) => {
        const cell = board.index.cells[at][number];
        return cell && (cell[1] || !["PASS"].includes(board.word(cell[0]))) && !board.apart(cell[0])
          ? [[row, cell]]
          : [];
      })
      .sort((a, b) => (a[1][1] === 1 ? 0 : 1) - (b[1][1] === 1 ? 0 : 1));

  const counters = (number) => {
    const { scenarios, table } = board.index.counters;
    if (!scenarios)
      return h(
        "p",
        { class: "muted" },
        "No scenario passed in every column, so nothing can be compared.",
      );
    return [
      h(
        "p",
        null,
        `For each completed operation, over the ${board.counted(scenarios, "scenario")} that passed in every column. The line is the median of all columns.`,
      ),
      board.table(
        "Counters per operation",
        ["Counter", "Here", "Median", "Here, and the range of all columns"],
        table.map(([name, values, median]) => {
          const value = values[number];
          const known = values.filter((one) => one !== null);
          const top = Math.max(...known) || 1;
          const x = (one) => (one / top) * 196 + 2;
          return h(
            "tr",
            null,
            h("th", { scope: "row" }, name.replaceAll("_", " ")),
            h("td", { class: "number" }, value === null ? "" : value.toFixed(3)),
            h("td", { class: "number" }, median.toFixed(3)),
            h(
              "td",
              null,
              svg(
                "svg",
                { class: "range", viewBox: "0 0 200 14", "aria-hidden": "true" },
                svg("line", { x1: x(Math.min(...known)), x2: x(top), y1: 7, y2: 7 }),
                svg("line", { class: "median", x1: x(median), x2: x(median), y1: 2, y2: 12 }),
                value === null ? null : svg("circle", { cx: x(value), cy: 7, r: 4 }),
              ),
            ),
          );
        }),
      ),
    ];
  };

  board.views.column = (parameters, [name]) => {
    const number = board.index.columns.findIndex((column) => column.name === name);
    if (number < 0)
      return [
        h("h1", { tabindex: "-1" }, "No such column"),
        h("p", null, `There is no column called ${name} on this board.`),
      ];
    const column = board.index.columns[number];
    const bad = failing(number);
    return [
      h("p", { class: "crumbs" }, h("a", { href: board.link([]) }, "Matrix"), " / column"),
      h(
        "h1",
        { tabindex: "-1", class: column.good ? "good" : "bad" },
        h("span", { class: "where" }, column.name),
        h(
          "span",
          { class: "verdict" },
          h("span", { class: "sign", "aria-hidden": "true" }, column.good ? "✓ " : "✗ "),
          column.verdict,
        ),
      ),
      board.shares(column.counts),
      board.counts(column.counts),
      h("h2", null, "Failures"),
      bad.length
        ? board.table(
            "Failures",
            ["Scenario", "Status", "What must hold"],
            bad.map(([row, cell]) =>
              h(
                "tr",
                null,
                h("th", { scope: "row" }, board.scenarioLink(row.id, number)),
                h(
                  "td",
                  null,
                  board.chip(cell[0], "", cell[1] === 1),
                  cell[1]
                    ? h(
                        "small",
                        { class: cell[1] === 1 ? "surprise" : "muted" },
                        [" unexpected", " unexpected", " for information", " expected"][cell[1]],
                      )
                    : null,
                ),
                h("td", null, row.text),
              ),
            ),
          )
        : h("p", null, "None."),
      column.stale.length
        ? [
            h("h3", null, "Out of date in the expectation file"),
            h(
              "ul",
              null,
              column.stale.map((one) => h("li", null, one)),
            ),
          ]
        : null,
      h("h2", null, "Probes"),
      h(
        "p",
        null,
        "Found out on this machine, by trying. What is missing makes the scenarios that need it UNSUPPORTED, which is no failure.",
      ),
      board.table(
        "Probes",
        ["Capability", "There", "Evidence", "Costs"],
        column.probes.map(([one, there, evidence, costs]) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, one),
            h("td", null, board.there(there)),
            h("td", null, evidence),
            h(
              "td",
              null,
              costs.map((id, at) => [at ? ", " : null, board.scenarioLink(id, number)]),
            ),
          ),
        ),
      ),
      h("h2", null, "Slowest"),
      board.table(
        "Slowest scenarios",
        ["Scenario", "Time", "Share of the slowest"],
        column.slowest.map(([id, said, seconds]) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, board.scenarioLink(id, number)),
            h("td", { class: "number" }, said),
            h(
              "td",
              null,
              svg(
                "svg",
                {
                  class: "bar-of",
                  viewBox: "0 0 100 1",
                  preserveAspectRatio: "none",
                  "aria-hidden": "true",
                },
                svg("rect", {
                  class: "bar",
                  width: (100 * seconds) / column.slowest[0][2],
                  height: 1,
                }),
              ),
            ),
          ),
        ),
      ),
      h("h2", null, "Calls per operation, beside the others"),
      counters(number),
      h("h2", null, "Runs"),
      board.facts(column.facts),
      board.table(
        "Runs",
        ["Run", "Date", "Commit"],
        column.runs.map((one) =>
          h(
            "tr",
            null,
            one.map((part) => h("td", null, part)),
          ),
        ),
      ),
    ];
  };
})();
