"use strict";
// Benchmarks: what must hold, and for each suite its curves, its cases, and their numbers.
(() => {
  const { h, svg } = board;
  const whole = (value) => Math.round(value).toLocaleString("en");
  const perSecond = (value) => `${value < 10 ? value.toFixed(1) : whole(value)} /s`;
  const micro = (value) => `${value < 100 ? value.toFixed(value < 10 ? 2 : 1) : whole(value)} µs`;
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const known = (value) => typeof value === "number";
  const cell = (value, say) => h("td", { class: "number" }, known(value) ? say(value) : "–");
  const measured = (shown) =>
    shown.subjects
      .filter((one) => one.missing === null && known(one.rate))
      .sort((a, b) => b.rate - a.rate);
  const processor = (one) => (known(one.user_us) ? one.user_us + (one.system_us || 0) : null);

  const HOLDS = new Map([
    [true, () => h("span", { class: "yes" }, "✓ holds")],
    [false, () => h("b", { class: "surprise" }, "✗ does not hold")],
    [null, () => h("span", { class: "muted" }, "· not measured")],
  ]);

  const bars = (report) => {
    if (!report.bars.length) return null;
    const count = (holds) => report.bars.filter((bar) => bar.holds === holds).length;
    return [
      h("h3", null, "What must hold"),
      h(
        "p",
        null,
        `${count(true)} of ${report.bars.length} hold, ${count(false)} do not, ${count(null)} were not measured.`,
      ),
      board.table(
        "What must hold",
        ["", "Ratio", "Wanted", "Measured", "Room", "Why not"],
        report.bars.map((bar) => {
          const sign = bar.at === "least" ? 1 : -1;
          return h(
            "tr",
            null,
            h("td", null, HOLDS.get(bar.holds)()),
            h("th", { scope: "row" }, bar.text),
            h("td", { class: "number" }, `${bar.at === "least" ? "≥" : "≤"} ${bar.wanted}`),
            cell(bar.ratio, (value) => value.toFixed(2)),
            cell(bar.ratio, (value) => {
              const room = sign * (value / bar.wanted - 1) * 100;
              return `${room < 0 ? "−" : "+"}${Math.abs(room).toFixed(0)} %`;
            }),
            h("td", { class: "brief" }, bar.why || ""),
          );
        }),
        { class: "bars" },
      ),
    ];
  };

  const drawings = (shown, suite) => {
    const rows = measured(shown);
    const timed = rows.filter((one) => known(one.p50_us) && known(one.p99_us));
    const charged = rows.filter((one) => known(processor(one)));
    const { what } = suite;
    const title = (text) => `${suite.title}, ${shown.name}: ${text}`;
    const part = (head, text, subjects, more) =>
      subjects.length ? h("div", null, h("h5", null, capital(head)), board.rows(title(text), subjects, more)) : null;
    return h(
      "div",
      { class: "sides" },
      part(`${what}, per second`, `${what} in a second`, rows, {
        top: (one) => Math.max(...one.rates, one.rate),
        said: (one) => perSecond(one.rate),
        draw: (one, x, y) => [
          board.bar(x, y, 0, one.rate),
          one.rates.map((rate) =>
            svg("circle", { cx: x(rate), cy: y, r: 3.5 }, svg("title", null, perSecond(rate))),
          ),
        ],
      }),
      part("CPU for each: user, then kernel", "Processor time for each", charged, {
        top: processor,
        said: (one) => `${micro(one.user_us)} + ${micro(one.system_us || 0)}`,
        draw: (one, x, y) => [
          board.bar(x, y, 0, one.user_us),
          board.bar(x, y, one.user_us, processor(one), "system"),
        ],
      }),
      part("Time for each: p50 to p99", "Time for each", timed, {
        top: (one) => one.p99_us,
        said: (one) => `${micro(one.p50_us)} … ${micro(one.p99_us)}`,
        draw: (one, x, y) => [
          svg("line", { class: "reach", x1: x(one.p50_us), x2: x(one.p99_us), y1: y, y2: y }),
          svg("circle", { cx: x(one.p50_us), cy: y, r: 4.5 }),
          svg("line", { class: "reach", x1: x(one.p99_us), x2: x(one.p99_us), y1: y - 7, y2: y + 7 }),
        ],
      }),
    );
  };

  const numbers = (shown, suite) => {
    const rows = measured(shown);
    const ours = shown.subjects.find((one) => one.kind === "reactor" && known(one.rate));
    const limits = rows.filter((one) => one.kind === "limit");
    const limit = limits.find((one) => one.name.startsWith("bare")) || limits[0];
    const calls = (one) => Object.values(one.syscalls || {}).reduce((sum, value) => sum + value, 0);
    const columns = [
      [`${capital(suite.what)}/s`, (one) => one.rate, (value) => `${value < 10 ? value.toFixed(2) : whole(value)}`],
      ["Spread", (one) => one.spread, (value) => `${(value * 100).toFixed(0)} %`],
      [ours && `${ours.name} is`, (one) => ours && ours.ratios[one.name], (value) => `${value.toFixed(2)} ×`],
      [limit && `Of ${limit.name}`, (one) => limit && one.ratios[limit.name], (value) => value.toFixed(2)],
      ["User", (one) => one.user_us, micro],
      ["Kernel", (one) => one.system_us, micro],
      ["p50", (one) => one.p50_us, micro],
      ["p99", (one) => one.p99_us, micro],
      ["System calls", (one) => (one.syscalls ? calls(one) : null), (value) => value.toFixed(2)],
      ["Peak memory", (one) => one.peak_rss, (value) => `${(value / 2 ** 20).toFixed(1)} MiB`],
      ["Memory for each", (one) => one.bytes_per_item, (value) => `${whole(value)} B`],
      ["Lost", (one) => one.lost ?? null, whole],
    ].filter(([, value]) => rows.some((one) => known(value(one))));
    const missing = shown.subjects.filter((one) => one.missing !== null);
    return [
      board.table(
        `Numbers: ${suite.title}, ${shown.name}`,
        ["Subject", ...columns.map(([head]) => head)],
        rows.map((one) =>
          h(
            "tr",
            { class: one.kind },
            h("th", { scope: "row" }, one.name),
            columns.map(([, value, say]) => {
              const made = cell(value(one), say);
              if (value(one) && say === columns.find(([head]) => head === "System calls")?.[2])
                made.title = Object.entries(one.syscalls || {})
                  .map(([name, count]) => `${name} ${count.toFixed(2)}`)
                  .join(", ");
              return made;
            }),
          ),
        ),
      ),
      missing.length
        ? h(
            "p",
            { class: "muted" },
            `Left out: ${missing.map((one) => `${one.name} (${one.missing})`).join(", ")}.`,
          )
        : null,
    ];
  };

  const oneCase = (shown, suite) => [
    h("h4", null, shown.name),
    measured(shown).length ? drawings(shown, suite) : null,
    numbers(shown, suite),
  ];

  // Cases that differ in nothing but the axis, by what they have in common.
  const groups = (suite) => {
    const found = new Map();
    for (const shown of suite.cases) {
      const { [suite.axis]: at, ...rest } = shown.parameters;
      if (!known(at)) continue;
      const name = Object.entries(rest)
        .map(([key, value]) => `${key} ${value.toLocaleString("en")}`)
        .join(", ");
      if (!found.has(name)) found.set(name, []);
      found.get(name).push([at, shown]);
    }
    return [...found].filter(([, along]) => along.length > 1);
  };

  const curve = (suite, head, along, value, say) => {
    const lines = new Map();
    for (const [at, shown] of along.sort((a, b) => a[0] - b[0]))
      for (const one of measured(shown)) {
        if (!known(value(one))) continue;
        if (!lines.has(one.name))
          lines.set(one.name, { name: one.name, kind: one.kind, points: [] });
        lines.get(one.name).points.push([at, value(one)]);
      }
    if (!lines.size) return null;
    const places = along.map(([at]) => at);
    const label = `${suite.title}: ${head}`;
    return [
      h("h5", null, capital(head)),
      board.curves(label, suite.axis, [...lines.values()], say),
      board.table(
        `Numbers: ${label}`,
        [capital(suite.axis), ...places.map((at) => at.toLocaleString("en"))],
        [...lines.values()].map(({ name, kind, points }) =>
          h(
            "tr",
            { class: kind },
            h("th", { scope: "row" }, name),
            places.map((at) => cell(points.find(([one]) => one === at)?.[1], say)),
          ),
        ),
      ),
    ];
  };

  const suiteOf = (suite) => {
    const curves = groups(suite);
    const drawn = new Set(curves.flatMap(([, along]) => along.map(([, shown]) => shown)));
    const alone = suite.cases.filter((shown) => !drawn.has(shown));
    return [
      h("h3", null, suite.title),
      curves.map(([name, along]) => {
        const of = name ? ` (${name})` : "";
        return [
          curve(suite, `${suite.what} in a second${of}`, along, (one) => one.rate, perSecond),
          curve(suite, `CPU for each of the ${suite.what}${of}`, along, processor, micro),
        ];
      }),
      alone.map((shown) => oneCase(shown, suite)),
      drawn.size
        ? h(
            "details",
            null,
            h("summary", null, `${suite.title}: ${board.counted(drawn.size, "case")}, one by one`),
            [...drawn].map((shown) => oneCase(shown, suite)),
          )
        : null,
    ];
  };

  const leaks = (churned) =>
    churned && [
      h("h3", null, `Churn of ${board.counted(churned.count, "connection")}`),
      board.table(
        "What was given back",
        ["Backend", "Connections/s", "Leaks"],
        Object.entries(churned.backends).map(([name, one]) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, name),
            cell(one.rate, whole),
            h(
              "td",
              null,
              one.leaks.length
                ? h("b", { class: "surprise" }, `✗ ${one.leaks.join("; ")}`)
                : h("span", { class: "yes" }, "✓ none"),
            ),
          ),
        ),
      ),
    ];

  const where = ({ environment: { platform, python, cpu, version, git }, ...report }) =>
    board.facts(
      Object.fromEntries(
        Object.entries({
          Platform: [platform.os, platform.release, platform.machine].filter(Boolean).join(" "),
          Processor: cpu ? `${cpu.count} × ${cpu.model || "CPU"}` : "",
          Python: `${python.implementation || ""} ${python.version || ""}${python.gil === false ? ", no GIL" : ""}`,
          Version: version || "",
          Commit: git && git.sha ? `${git.sha.slice(0, 12)}${git.dirty ? ", changed" : ""}` : "",
          Started: report.started.slice(0, 19).replace("T", " "),
          Rounds: `${report.rounds} of ${report.seconds} s`,
          Load: report.load,
          Seed: String(report.seed),
        }).filter(([, value]) => value.trim()),
      ),
    );

  board.views.bench = () => [
    h("h1", { tabindex: "-1" }, "Benchmarks"),
    h(
      "p",
      null,
      "Side by side in one run, every subject in every round. A dot is one round, a bar reaches to the median, and a ratio is the median of the ratios of the rounds. Numbers of two machines, or of two runs, are not to be compared.",
    ),
    board.index.bench.map((report) => [
      h(
        "h2",
        null,
        `${report.environment.platform.os || "Somewhere"}, ${report.started.slice(0, 10)}`,
      ),
      where(report),
      bars(report),
      report.suites.map(suiteOf),
      leaks(report.leaks),
    ]),
  ];
})();
