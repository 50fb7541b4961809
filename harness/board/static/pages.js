"use strict";
// Capabilities, changes, and how to ask.
(() => {
  const { h } = board;

  board.there = (there) =>
    there
      ? h("span", { class: "yes" }, "✓ yes")
      : h("span", { class: "st UNSUPPORTED" }, "∅ missing");

  board.views.capabilities = () => {
    const names = [
      ...new Set(board.index.columns.flatMap((column) => column.probes.map(([name]) => name))),
    ];
    const notes = [];
    const note = (evidence) => {
      const at = notes.indexOf(evidence);
      return at < 0 ? notes.push(evidence) : at + 1;
    };
    const costs = (name) => [
      ...new Set(
        board.index.columns.flatMap((column) =>
          column.probes.filter(([one]) => one === name).flatMap(([, , , ids]) => ids),
        ),
      ),
    ];
    const rows = names.map((name) =>
      h(
        "tr",
        null,
        h(
          "th",
          { scope: "row" },
          name,
          costs(name).length
            ? h(
                "small",
                null,
                " ",
                h(
                  "a",
                  { href: board.link([], { q: `cap:${name}` }) },
                  `costs ${costs(name).length}`,
                ),
              )
            : null,
        ),
        board.index.columns.map((column) => {
          const found = column.probes.find(([one]) => one === name);
          return h(
            "td",
            null,
            found
              ? [
                  board.there(found[1]),
                  found[1]
                    ? null
                    : h(
                        "sup",
                        null,
                        h(
                          "a",
                          {
                            href: "#note",
                            onclick: (event) => {
                              event.preventDefault();
                              document.getElementById(`note-${note(found[2])}`).scrollIntoView();
                            },
                            "aria-label": `note ${note(found[2])}`,
                          },
                          String(note(found[2])),
                        ),
                      ),
                ]
              : "",
          );
        }),
      ),
    );
    const others = board.index.columns.flatMap((column, number) =>
      column.others.map(([id, reason]) => [id, reason, number]),
    );
    return [
      h("h1", { tabindex: "-1" }, "Capabilities"),
      h(
        "p",
        null,
        "Each was probed on the machine, by trying. UNSUPPORTED is no failure: the scenario needs what is missing. The numbers lead to what the probe saw; if you know that the machine can do it, begin there.",
      ),
      board.table(
        "Capabilities by column",
        [
          "Capability",
          ...board.index.columns.map((column) =>
            h(
              "a",
              { href: board.link(["column", column.name]) },
              column.platform,
              h("br"),
              column.backend,
              h("br"),
              column.python,
            ),
          ),
        ],
        rows,
        { class: "capabilities" },
      ),
      notes.length
        ? [
            h("h2", null, "Notes"),
            h(
              "ol",
              null,
              notes.map((one, at) => h("li", { id: `note-${at + 1}` }, one)),
            ),
          ]
        : null,
      others.length
        ? [
            h("h2", null, "What a scenario found missing by itself"),
            board.table(
              "Found missing",
              ["Scenario", "Column", "Reason"],
              others.map(([id, reason, number]) =>
                h(
                  "tr",
                  null,
                  h("th", { scope: "row" }, board.scenarioLink(id, number)),
                  h("td", null, board.columnLink(number)),
                  h("td", null, reason),
                ),
              ),
            ),
          ]
        : null,
    ];
  };

  const HEADS = {
    regressed: "Regressed",
    fixed: "Fixed",
    new: "New",
    removed: "Removed",
    flaky: "Flaky",
    slower: "Slower",
    "trace changed": "Trace changed",
  };

  board.views.changes = () => {
    const { changes } = board.index;
    if (!changes)
      return [
        h("h1", { tabindex: "-1" }, "Changes"),
        h(
          "p",
          null,
          "Nothing to compare with: give an earlier merge with --against, or several runs of a column.",
        ),
      ];
    const side = (status) =>
      status < 0 ? h("span", { class: "muted" }, "absent") : board.chip(status);
    return [
      h("h1", { tabindex: "-1" }, "Changes since the earlier runs"),
      h("p", { class: "law" }, changes.sentence),
      changes.groups.map(([kind, rows]) => [
        h("h2", null, `${HEADS[kind]} `, h("small", { class: "muted" }, String(rows.length))),
        board.table(
          HEADS[kind],
          ["Scenario", "Before", "Now", "Column", "Note"],
          rows
            .slice(0, 500)
            .map(([id, number, name, old, now, note, alarming]) =>
              h(
                "tr",
                null,
                h(
                  "th",
                  { scope: "row" },
                  number < 0 ? h("span", { class: "id" }, id) : board.scenarioLink(id, number),
                ),
                h("td", null, side(old)),
                h(
                  "td",
                  null,
                  old === now ? h("span", { class: "muted" }, "the same") : side(now),
                  kind === "regressed" && !alarming
                    ? h("small", { class: "muted" }, " expected")
                    : null,
                ),
                h("td", null, number < 0 ? name : board.columnLink(number)),
                h("td", { class: "brief" }, note),
              ),
            ),
        ),
        rows.length > 500
          ? h(
              "p",
              { class: "muted" },
              `and ${rows.length - 500} more; reactorlab diff has them all`,
            )
          : null,
      ]),
      [
        ["Columns that are new", changes.added],
        ["Columns that are gone", changes.gone],
      ].map(([title, names]) =>
        names.length
          ? [
              h("h2", null, title),
              h(
                "ul",
                null,
                names.map((name) => h("li", null, name)),
              ),
            ]
          : null,
      ),
    ];
  };

  board.views.query = () => [
    h("h1", { tabindex: "-1" }, "How to ask"),
    h(
      "p",
      null,
      "Terms are separated by spaces, and all of them must hold. A minus in front turns a term round. The query is part of the address, so it can be sent to somebody.",
    ),
    board.table(
      "The query language",
      ["Term", "Holds for scenarios"],
      [
        ["accept", 'that have the word in their id, family or law; "two words" in quotes'],
        ["family:cancel law:4 id:recv strict:must", "of this family, law, id, strictness"],
        ["is:unexpected", "with a result that a run fails for"],
        [
          "is:different",
          "that end differently in two columns, or whose traces part without a permit",
        ],
        [
          "is:flaky is:expected is:permit",
          "that are flaky, fail as expected, show a permitted outcome",
        ],
        ["is:regressed is:fixed is:new is:slower", "that changed so since the earlier runs"],
        [
          "kqueue:fail freebsd:timeout,crash",
          "that ended so in a column of that name; any:fail in some column",
        ],
        ["cap:ipv6", "that are UNSUPPORTED somewhere because ipv6 is missing"],
        ["col:linux", "shows only these columns; -col:linux all others"],
        ["-family:stress", "not of this family"],
      ].map(([term, meaning]) =>
        h("tr", null, h("th", { scope: "row" }, h("code", null, term)), h("td", null, meaning)),
      ),
    ),
    h(
      "p",
      null,
      "In the matrix, arrow keys move from cell to cell, Enter opens one, / leads to the filter box.",
    ),
  ];
})();
