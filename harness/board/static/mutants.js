"use strict";
// Mutants and the explorer: pages that are there where their data is.
(() => {
  const { h } = board;

  const killer = (one) =>
    one.broken ? "broken" : one.killed_by ? one.killed_by.split(" ")[0] : "survived";

  board.views.mutants = () => [
    h("h1", { tabindex: "-1" }, "Mutants"),
    h(
      "p",
      null,
      "Reactors with one thing broken, each after a real bug. One that survives is a scenario that is missing.",
    ),
    board.index.mutants.map((report) => {
      const kinds = ["survived", "broken", "scenario", "program", "simulated", "test"].filter(
        (kind) => report.mutants.some((one) => killer(one) === kind),
      );
      const areas = [...new Set(report.mutants.map((one) => one.area))].sort();
      const survivors = report.mutants.filter((one) => !one.killed_by).length;
      const shown = (kind, count) =>
        !count
          ? ""
          : h(
              "span",
              { class: `st ${["survived", "broken"].includes(kind) ? "FAIL" : "PASS"}` },
              `${["survived", "broken"].includes(kind) ? "✗" : "✓"} ${count}`,
            );
      return [
        h(
          "p",
          { class: "law" },
          `${report.mutants.length - survivors} of ${report.mutants.length} noticed, ${survivors} survived, on ${report.platform.os || "?"} with Python ${report.python.version || "?"}${report.complete ? "" : "; the run is not complete"}`,
        ),
        h("h2", null, "By area, and what notices"),
        board.table(
          "Mutants by area and killer",
          [
            "Area",
            ...kinds.map(
              (kind) =>
                ({
                  scenario: "by a scenario",
                  program: "by the explorer",
                  simulated: "by generated programs",
                  test: "by a test",
                })[kind] || kind,
            ),
          ],
          areas.map((area) =>
            h(
              "tr",
              null,
              h("th", { scope: "row" }, area),
              kinds.map((kind) =>
                h(
                  "td",
                  null,
                  shown(
                    kind,
                    report.mutants.filter((one) => one.area === area && killer(one) === kind)
                      .length,
                  ),
                ),
              ),
            ),
          ),
        ),
        h("h2", null, "Every mutant"),
        board.table(
          "Every mutant",
          ["Mutant", "Area", "Noticed by", "What it saw", "After"],
          report.mutants.map((one) => {
            const scenario = /^scenario (\S+) on/.exec(one.killed_by || "");
            const known = scenario && board.index.scenarios.some((row) => row.id === scenario[1]);
            return h(
              "tr",
              null,
              h(
                "th",
                { scope: "row" },
                one.name,
                one.timeline.length
                  ? h(
                      "details",
                      null,
                      h("summary", null, "schedule"),
                      h("pre", { tabindex: "0" }, one.timeline.join("\n")),
                      one.replay
                        ? h(
                            "pre",
                            { class: "replay", tabindex: "0" },
                            `reactorlab mutants --only ${one.name} --replay '${one.replay}'`,
                          )
                        : null,
                    )
                  : null,
              ),
              h("td", null, one.area),
              h(
                "td",
                { class: "killer" },
                one.killed_by
                  ? known
                    ? board.scenarioLink(scenario[1])
                    : one.killed_by
                  : h(
                      "span",
                      { class: "st FAIL unexpected" },
                      one.broken ? "✗ broken" : "✗ survived",
                    ),
              ),
              h("td", { class: "brief" }, one.broken || one.detail),
              h("td", { class: "brief" }, one.imitates),
            );
          }),
        ),
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
        h(
          "p",
          { class: "law" },
          `${board.counted(report.programs.length, "program")}, ${sum("schedules").toLocaleString("en")} schedules, ${report.programs.filter((one) => one.complete).length} complete, ${bad.length} with a violation`,
        ),
        bad.map((program) =>
          program.violations.map((one) =>
            h(
              "section",
              { class: "side" },
              h("h2", null, `${program.name}: ${one.kind}`),
              h("p", { class: "reason FAIL" }, one.detail),
              one.replay
                ? h(
                    "pre",
                    { class: "replay", tabindex: "0" },
                    `reactorlab explore --replay '${one.replay}'`,
                  )
                : null,
              one.timeline ? h("pre", { tabindex: "0" }, one.timeline.join("\n")) : null,
            ),
          ),
        ),
        board.table(
          "Programs",
          ["Program", "Result", "Threads", "Schedules", "Executions", "States", "Seconds"],
          report.programs.map((one) =>
            h(
              "tr",
              null,
              h("th", { scope: "row" }, one.name),
              h(
                "td",
                null,
                one.violations.length
                  ? h("span", { class: "st FAIL unexpected" }, `✗ ${one.violations.length} found`)
                  : h(
                      "span",
                      { class: `st ${one.complete ? "PASS" : "NOTRUN"}` },
                      one.complete ? "✓ complete" : "· not complete",
                    ),
              ),
              ["threads", "schedules", "executions", "states"].map((key) =>
                h("td", { class: "number" }, one[key].toLocaleString("en")),
              ),
              h("td", { class: "number" }, one.seconds.toFixed(1)),
            ),
          ),
        ),
      ];
    }),
  ];
})();
