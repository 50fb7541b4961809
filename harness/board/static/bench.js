"use strict";
// Benchmarks as plots.
(() => {
  const { h, svg } = board;

  // One row for each name: a dot for each measurement, a bar to the median, and its number.
  const plot = (label, rows, unit) => {
    const WIDTH = 900,
      LEFT = 200,
      RIGHT = 110,
      ROW = 28;
    const top = Math.max(...rows.flatMap(([, values, middle]) => [...values, middle]), 1e-9);
    const x = (value) => LEFT + (value / top) * (WIDTH - LEFT - RIGHT);
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      svg(
        "svg",
        {
          class: "plot",
          viewBox: `0 0 ${WIDTH} ${rows.length * ROW + 4}`,
          role: "img",
          "aria-label": `${label}: ${rows.map(([name, , middle]) => `${name} ${unit(middle)}`).join(", ")}`,
        },
        rows.map(([name, values, middle], at) =>
          svg(
            "g",
            null,
            svg("text", { x: LEFT - 10, y: at * ROW + 18, "text-anchor": "end" }, name),
            svg("rect", {
              class: "bar",
              x: LEFT,
              y: at * ROW + 6,
              width: Math.max(x(middle) - LEFT, 1),
              height: 16,
              rx: 3,
            }),
            values.map((value) =>
              svg(
                "circle",
                { cx: x(value), cy: at * ROW + 14, r: 3.5 },
                svg("title", null, unit(value)),
              ),
            ),
            svg(
              "text",
              { class: "value", x: Math.max(x(middle), ...values.map(x)) + 10, y: at * ROW + 18 },
              unit(middle),
            ),
          ),
        ),
      ),
    );
  };

  board.views.bench = () => [
    h("h1", { tabindex: "-1" }, "Benchmarks"),
    h(
      "p",
      null,
      "Side by side in one run; a dot is one round, the bar reaches to the median. Numbers of two machines, or of two runs, are not to be compared.",
    ),
    board.index.bench.map((report) => {
      const rate = (value) => `${Math.round(value).toLocaleString("en")} /s`;
      const micro = (value) => `${value.toFixed(1)} µs`;
      const servers = Object.entries(report.servers || {}).sort((a, b) => b[1].rate - a[1].rate);
      const backends = Object.entries(report.backends || {});
      const metric = (title, key) => {
        const rows = servers
          .filter(([, one]) => typeof one[key] === "number")
          .map(([name, one]) => [name, [], one[key]]);
        return rows.length ? [h("h3", null, title), plot(title, rows, micro)] : null;
      };
      return [
        servers.length
          ? [
              h(
                "h2",
                null,
                `Echo of ${report.size} bytes over ${board.counted(report.connections, "connection")}`,
              ),
              h("h3", null, "Round trips in a second"),
              plot(
                "Round trips in a second",
                servers.map(([name, one]) => [name, one.rates, one.rate]),
                rate,
              ),
              metric("Half of the round trips take at most", "p50_us"),
              metric("99 of 100 round trips take at most", "p99_us"),
              metric("Processor time in user mode for a round trip", "user_us"),
              metric("Processor time in the kernel for a round trip", "system_us"),
            ]
          : null,
        Object.entries(report.loops || {}).map(([suite, loops]) => {
          const rows = Object.entries(loops).sort((a, b) => b[1].rate - a[1].rate);
          return [
            h("h2", null, `Loops: ${suite}`),
            h("h3", null, "Operations in a second"),
            plot(
              `Operations in a second of ${suite}`,
              rows.map(([name, one]) => [name, one.rates, one.rate]),
              rate,
            ),
          ];
        }),
        backends.length
          ? [
              h("h2", null, `Churn of ${board.counted(report.count, "connection")}`),
              plot(
                "Connections in a second",
                backends.map(([name, one]) => [name, [], one.rate]),
                rate,
              ),
              board.table(
                "What was given back",
                ["Backend", "Leaks"],
                backends.map(([name, one]) =>
                  h(
                    "tr",
                    null,
                    h("th", { scope: "row" }, name),
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
            ]
          : null,
      ];
    }),
  ];
})();
