"use strict";
// Capabilities, changes, mutants, the explorer, benchmarks: pages that are there where the data is.
(() => {
  const { h, svg } = board;

  board.there = (there) => there ? h("span", { class: "yes" }, "✓ yes") : h("span", { class: "st UNSUPPORTED" }, "∅ missing");

  board.views.capabilities = () => {
    const names = [...new Set(board.index.columns.flatMap((column) => column.probes.map(([name]) => name)))];
    const notes = [];
    const note = (evidence) => {
      const at = notes.indexOf(evidence);
      return at < 0 ? notes.push(evidence) : at + 1;
    };
    const costs = (name) => [...new Set(board.index.columns.flatMap((column) => column.probes.filter(([one]) => one === name).flatMap(([, , , ids]) => ids)))];
    const rows = names.map((name) =>
      h("tr", null, h("th", { scope: "row" }, name, costs(name).length ? h("small", null, " ", h("a", { href: board.link([], { q: `cap:${name}` }) }, `costs ${costs(name).length}`)) : null),
        board.index.columns.map((column) => {
          const found = column.probes.find(([one]) => one === name);
          return h("td", null, found ? [board.there(found[1]), found[1] ? null : h("sup", null, h("a", { href: "#note", onclick: (event) => { event.preventDefault(); document.getElementById(`note-${note(found[2])}`).scrollIntoView(); }, "aria-label": `note ${note(found[2])}` }, String(note(found[2]))))] : "");
        })));
    const others = board.index.columns.flatMap((column, number) => column.others.map(([id, reason]) => [id, reason, number]));
    return [
      h("h1", { tabindex: "-1" }, "Capabilities"),
      h("p", null, "Each was probed on the machine, by trying. UNSUPPORTED is no failure: the scenario needs what is missing. The numbers lead to what the probe saw; if you know that the machine can do it, begin there."),
      board.table("Capabilities by column", ["Capability", ...board.index.columns.map((column) => h("a", { href: board.link(["column", column.name]) }, column.platform, h("br"), column.backend, h("br"), column.python))], rows, { class: "capabilities" }),
      notes.length ? [h("h2", null, "Notes"), h("ol", null, notes.map((one, at) => h("li", { id: `note-${at + 1}` }, one)))] : null,
      others.length ? [h("h2", null, "What a scenario found missing by itself"), board.table("Found missing", ["Scenario", "Column", "Reason"], others.map(([id, reason, number]) => h("tr", null, h("th", { scope: "row" }, board.scenarioLink(id, number)), h("td", null, board.columnLink(number)), h("td", null, reason))))] : null,
    ];
  };

  const HEADS = { regressed: "Regressed", fixed: "Fixed", new: "New", removed: "Removed", flaky: "Flaky", slower: "Slower", "trace changed": "Trace changed" };

  board.views.changes = () => {
    const { changes } = board.index;
    if (!changes) return [h("h1", { tabindex: "-1" }, "Changes"), h("p", null, "Nothing to compare with: give an earlier merge with --against, or several runs of a column.")];
    const side = (status) => (status < 0 ? h("span", { class: "muted" }, "absent") : board.chip(status));
    return [
      h("h1", { tabindex: "-1" }, "Changes since the earlier runs"),
      h("p", { class: "law" }, changes.sentence),
      changes.groups.map(([kind, rows]) => [
        h("h2", null, `${HEADS[kind]} `, h("small", { class: "muted" }, String(rows.length))),
        board.table(HEADS[kind], ["Scenario", "Before", "Now", "Column", "Note"], rows.slice(0, 500).map(([id, number, name, old, now, note, alarming]) =>
          h("tr", null, h("th", { scope: "row" }, number < 0 ? h("span", { class: "id" }, id) : board.scenarioLink(id, number)), h("td", null, side(old)), h("td", null, old === now ? h("span", { class: "muted" }, "the same") : side(now), kind === "regressed" && !alarming ? h("small", { class: "muted" }, " expected") : null), h("td", null, number < 0 ? name : board.columnLink(number)), h("td", { class: "brief" }, note)))),
        rows.length > 500 ? h("p", { class: "muted" }, `and ${rows.length - 500} more; reactorlab diff has them all`) : null,
      ]),
      [["Columns that are new", changes.added], ["Columns that are gone", changes.gone]].map(([title, names]) => names.length ? [h("h2", null, title), h("ul", null, names.map((name) => h("li", null, name)))] : null),
    ];
  };

  const killer = (one) => (one.broken ? "broken" : one.killed_by ? one.killed_by.split(" ")[0] : "survived");

  board.views.mutants = () => [
    h("h1", { tabindex: "-1" }, "Mutants"),
    h("p", null, "Reactors with one thing broken, each after a real bug. One that survives is a scenario that is missing."),
    board.index.mutants.map((report) => {
      const kinds = ["survived", "broken", "scenario", "program", "test"].filter((kind) => report.mutants.some((one) => killer(one) === kind));
      const areas = [...new Set(report.mutants.map((one) => one.area))].sort();
      const survivors = report.mutants.filter((one) => !one.killed_by).length;
      const shown = (kind, count) => !count ? "" : h("span", { class: `st ${["survived", "broken"].includes(kind) ? "FAIL" : "PASS"}` }, `${["survived", "broken"].includes(kind) ? "✗" : "✓"} ${count}`);
      return [
        h("p", { class: "law" }, `${report.mutants.length - survivors} of ${report.mutants.length} noticed, ${survivors} survived, on ${report.platform.os || "?"} with Python ${report.python.version || "?"}${report.complete ? "" : "; the run is not complete"}`),
        h("h2", null, "By area, and what notices"),
        board.table("Mutants by area and killer", ["Area", ...kinds.map((kind) => ({ scenario: "by a scenario", program: "by the explorer", test: "by a test" })[kind] || kind)], areas.map((area) =>
          h("tr", null, h("th", { scope: "row" }, area), kinds.map((kind) => h("td", null, shown(kind, report.mutants.filter((one) => one.area === area && killer(one) === kind).length)))))),
        h("h2", null, "Every mutant"),
        board.table("Every mutant", ["Mutant", "Area", "Noticed by", "What it saw", "After"], report.mutants.map((one) => {
          const scenario = /^scenario (\S+) on/.exec(one.killed_by || "");
          const known = scenario && board.index.scenarios.some((row) => row.id === scenario[1]);
          return h("tr", null, h("th", { scope: "row" }, one.name, one.timeline.length ? h("details", null, h("summary", null, "schedule"), h("pre", { tabindex: "0" }, one.timeline.join("\n")), one.replay ? h("pre", { class: "replay", tabindex: "0" }, `reactorlab mutants --only ${one.name} --replay '${one.replay}'`) : null) : null),
            h("td", null, one.area), h("td", null, one.killed_by ? (known ? board.scenarioLink(scenario[1]) : one.killed_by) : h("span", { class: "st FAIL unexpected" }, one.broken ? "✗ broken" : "✗ survived")), h("td", { class: "brief" }, one.broken || one.detail), h("td", { class: "brief" }, one.imitates));
        })),
      ];
    }),
  ];

  board.views.explorer = () => [
    h("h1", { tabindex: "-1" }, "The explorer"),
    h("p", null, "The real scheduler under every interleaving of small programs."),
    board.index.explored.map((report) => {
      const sum = (key) => report.programs.reduce((total, one) => total + one[key], 0);
      const bad = report.programs.filter((one) => one.violations.length);
      return [
        h("p", { class: "law" }, `${board.counted(report.programs.length, "program")}, ${sum("schedules").toLocaleString("en")} schedules, ${report.programs.filter((one) => one.complete).length} complete, ${bad.length} with a violation`),
        bad.map((program) => program.violations.map((one) => h("section", { class: "side" }, h("h2", null, `${program.name}: ${one.kind}`), h("p", { class: "reason FAIL" }, one.detail), one.replay ? h("pre", { class: "replay", tabindex: "0" }, `reactorlab explore --replay '${one.replay}'`) : null, one.timeline ? h("pre", { tabindex: "0" }, one.timeline.join("\n")) : null))),
        board.table("Programs", ["Program", "Result", "Threads", "Schedules", "Executions", "States", "Seconds"], report.programs.map((one) =>
          h("tr", null, h("th", { scope: "row" }, one.name), h("td", null, one.violations.length ? h("span", { class: "st FAIL unexpected" }, `✗ ${one.violations.length} found`) : h("span", { class: `st ${one.complete ? "PASS" : "NOTRUN"}` }, one.complete ? "✓ complete" : "· not complete")), ["threads", "schedules", "executions", "states"].map((key) => h("td", { class: "number" }, one[key].toLocaleString("en"))), h("td", { class: "number" }, one.seconds.toFixed(1))))),
      ];
    }),
  ];

  // One row for each name: a dot for each measurement, a bar to the median, and its number.
  const plot = (label, rows, unit) => {
    const WIDTH = 900, LEFT = 200, RIGHT = 110, ROW = 28;
    const top = Math.max(...rows.flatMap(([, values, middle]) => [...values, middle]), 1e-9);
    const x = (value) => LEFT + (value / top) * (WIDTH - LEFT - RIGHT);
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${rows.length * ROW + 4}`, role: "img", "aria-label": `${label}: ${rows.map(([name, , middle]) => `${name} ${unit(middle)}`).join(", ")}` },
        rows.map(([name, values, middle], at) => svg("g", null,
          svg("text", { x: LEFT - 10, y: at * ROW + 18, "text-anchor": "end" }, name),
          svg("rect", { class: "bar", x: LEFT, y: at * ROW + 6, width: Math.max(x(middle) - LEFT, 1), height: 16, rx: 3 }),
          values.map((value) => svg("circle", { cx: x(value), cy: at * ROW + 14, r: 3.5 }, svg("title", null, unit(value)))),
          svg("text", { class: "value", x: Math.max(x(middle), ...values.map(x)) + 10, y: at * ROW + 18 }, unit(middle))))));
  };

  board.views.bench = () => [
    h("h1", { tabindex: "-1" }, "Benchmarks"),
    h("p", null, "Side by side in one run; a dot is one round, the bar reaches to the median. Numbers of two machines, or of two runs, are not to be compared."),
    board.index.bench.map((report) => {
      const rate = (value) => `${Math.round(value).toLocaleString("en")} /s`;
      const micro = (value) => `${value.toFixed(1)} µs`;
      const servers = Object.entries(report.servers || {}).sort((a, b) => b[1].rate - a[1].rate);
      const backends = Object.entries(report.backends || {});
      const metric = (title, key) => {
        const rows = servers.filter(([, one]) => typeof one[key] === "number").map(([name, one]) => [name, [], one[key]]);
        return rows.length ? [h("h3", null, title), plot(title, rows, micro)] : null;
      };
      return [
        servers.length ? [h("h2", null, `Echo of ${report.size} bytes over ${board.counted(report.connections, "connection")}`), h("h3", null, "Round trips in a second"), plot("Round trips in a second", servers.map(([name, one]) => [name, one.rates, one.rate]), rate),
          metric("Half of the round trips take at most", "p50_us"), metric("99 of 100 round trips take at most", "p99_us"), metric("Processor time in user mode for a round trip", "user_us"), metric("Processor time in the kernel for a round trip", "system_us")] : null,
        backends.length ? [h("h2", null, `Churn of ${board.counted(report.count, "connection")}`), plot("Connections in a second", backends.map(([name, one]) => [name, [], one.rate]), rate),
          board.table("What was given back", ["Backend", "Leaks"], backends.map(([name, one]) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, one.leaks.length ? h("b", { class: "surprise" }, `✗ ${one.leaks.join("; ")}`) : h("span", { class: "yes" }, "✓ none"))))) ] : null,
      ];
    }),
  ];
})();
