"""The board in a browser: `pytest -m browser`, where a Chromium is on PATH."""

from __future__ import annotations

import shutil
from typing import Any
from urllib.parse import unquote

import pytest

from harness import board, jsonfile
from harness.collection import Collection
from harness.model import Status
from tests.bench import document
from tests.board import sample
from tests.harness.test_report_sample import HOSTILE, hostile_run

playwright = pytest.importorskip("playwright.sync_api", exc_type=ImportError)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", exc_type=ImportError)

pytestmark = pytest.mark.browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
BROKEN = "accept.what-happens-0"
WIDTHS = [1440, 390]
OTHERS: list[dict[str, Any]] = [
    {
        "schema": "reactorlab.explored/1",
        "programs": [
            {
                **dict.fromkeys(
                    ("threads", "schedules", "executions", "sampled", "merged", "cut", "states"), 2
                ),
                "name": name,
                "steps": 1,
                "complete": True,
                "seconds": 0.1,
                "violations": violations,
            }
            for name, violations in (
                ("fine", []),
                ("broken", [{"kind": "lost", "detail": "a wake-up", "timeline": ["1 posts"]}]),
            )
        ],
    },
    document.report(),
    {
        "schema": "reactorlab.mutants/1",
        "version": "1",
        "digest": "0" * 64,
        "complete": True,
        "platform": {"os": "linux"},
        "python": {"version": "3.14.1"},
        "mutants": [
            {
                "name": name,
                "area": "signalling",
                "imitates": "libuv 1",
                "killed_by": killed,
                "detail": "a hang",
                "replay": None,
                "switches": None,
                "timeline": [],
                "tried": 3,
                "unreliable": [],
                "broken": "",
                "seconds": 1.0,
            }
            for name, killed in (("lives", None), ("dies", f"scenario {BROKEN} on epoll"))
        ],
    },
]


def collection():
    """Two days of four columns, in which one scenario broke on one of them."""
    found = Collection()
    for platform, backend in ((0, 0), (0, 2), (3, 1), (3, 3)):
        for age in (1, 0):
            run = sample.run(platform, backend, 30, age=age)
            for item in run.results:
                if item.id == BROKEN:
                    bad = (platform, backend, age) == (3, 1, 0)
                    item.status = Status.TIMEOUT if bad else Status.PASS
                    item.unexpected = bad
                    item.reason = "no result within 20 s" if bad else ""
                    if bad:
                        item.trace = item.trace[:2]
                        item.dump = "IoContext: leader WAITING"
            found.add(run)
    for other in OTHERS:
        found.add_other(other)
    return found


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module", params=["folder", "single"])
def address(request, tmp_path_factory):
    """The board in both of its forms."""
    folder = tmp_path_factory.mktemp(request.param)
    return board.write(collection(), folder, single=request.param == "single").as_uri()


class Tab:
    """A page that remembers what a good one never does."""

    def __init__(self, browser, address, *, width=1440, scheme="light", height=900):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.wrong: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._asks)
        self.address = address

    def _asks(self, request):
        if not request.url.startswith("file:"):
            self.wrong.append(f"asks {request.url}")

    def go(self, route):
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}{route}")
        self.page.locator("html[data-ready]").wait_for(state="attached")
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.context.close()
        if exc[0] is None:
            assert self.wrong == []


def ready(page, view):
    # Not `wait_for_function`: the page's policy lets nobody evaluate a text in it.
    page.locator(f"html[data-ready={view}]").wait_for(state="attached")


def test_the_matrix_shows_everything_and_unfolds_what_is_wrong(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go("")
        assert "30 scenarios in 4 columns" in page.inner_text("h1")
        assert "1 TIMEOUT" in page.inner_text("h1")
        assert page.locator(".matrix tbody tr.family").count() == 10
        assert page.locator(".matrix thead .python").count() == 4
        broken = page.locator(".matrix tbody a.TIMEOUT.unexpected")
        assert broken.count() == 1
        assert broken.inner_text() == "◷ TIMEOUT"
        label = broken.get_attribute("aria-label")
        assert BROKEN in label
        assert label.endswith("TIMEOUT, unexpected")
        page.click("#unfold")
        assert page.locator(".matrix tr.row").count() == 30
        # The headings stay where they are while the rest moves.
        page.set_viewport_size({"width": 700, "height": 500})
        holder = page.locator(".matrix-holder")
        before = page.locator(".matrix .corner").bounding_box()
        holder.evaluate("one => one.scrollTo(300, 300)")
        assert holder.evaluate("one => one.scrollTop > 0 && one.scrollLeft > 0")
        assert page.locator(".matrix .corner").bounding_box() == before


def test_the_filter_narrows_and_its_state_is_in_the_address(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go("")
        page.fill("#filter", "kqueue:timeout")
        playwright.expect(page.locator("tr.row")).to_have_count(1)
        assert "1 of 30 scenarios" in page.inner_text("#shown")
        assert "q=kqueue:timeout" in unquote(page.url)
        page.reload()
        ready(page, "matrix")
        assert page.input_value("#filter") == "kqueue:timeout"
        assert page.locator("tr.row").count() == 1


@pytest.mark.parametrize(
    ("query", "rows", "columns"),
    [
        ("is:unexpected family:accept law:99", 0, 4),
        (f"id:{BROKEN}", 1, 4),
        ("family:accept", 3, 4),
        ("-family:accept", 27, 4),
        ("family:accept,cancel", 6, 4),
        ('"one sentence of usual"', 30, 4),
        ("kqueue:timeout", 1, 4),
        ("linux:timeout", 0, 4),
        ("any:timeout", 1, 4),
        ("cap:nothing", 0, 4),
        ("is:regressed kqueue:timeout", 1, 4),
        ("is:regressed kqueue:timeout col:linux", 0, 2),
        ("strict:must", 30, 4),
        ("col:linux family:accept", 3, 2),
        ("-col:linux family:accept", 3, 2),
        ("col:linux kqueue:timeout", 1, 2),
    ],
)
def test_the_query_language(browser, address, query, rows, columns):
    with Tab(browser, address) as tab:
        page = tab.go("")
        found = page.evaluate(
            """text => {
                const asked = board.query(text);
                const rows = board.index.scenarios.map((_, at) => at).filter(asked.matches);
                return [rows.length, asked.columns.length, asked.problems];
            }""",
            query,
        )
        assert found == [rows, columns, []]


@pytest.mark.parametrize(
    "query", ["is:odd", "is:constructor", "nowhere:fail", "linux:great", "col:nowhere"]
)
def test_a_term_that_means_nothing_is_told(browser, address, query):
    with Tab(browser, address) as tab:
        page = tab.go("")
        page.fill("#filter", query)
        page.locator("#shown.problem").wait_for()


def test_a_cell_leads_to_its_traces(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go("")
        page.click(".matrix a.TIMEOUT.unexpected")
        ready(page, "scenario")
        assert page.inner_text("h1") == BROKEN
        assert page.evaluate("document.activeElement.tagName") == "H1"
        assert "The traces part at event 2." in page.inner_text("#parting")
        mark = page.locator(".traces tr.mark")
        assert mark.count() == 1
        after = mark.evaluate("one => one.nextElementSibling.innerText")
        assert after.startswith("2")
        assert "the trace ends" in after
        sides = page.locator(".side")
        assert sides.count() == 2
        assert "no result within 20 s" in sides.first.inner_text()
        assert "leader WAITING" in sides.first.inner_text()
        assert "reactorlab run --backend kqueue" in sides.first.inner_text()
        assert page.locator(".side svg.lanes rect, .side svg.lanes circle").count() > 4
        page.go_back()
        ready(page, "matrix")


def test_the_history_folds_equal_runs(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go(f"#/scenario/{BROKEN}")
        rows = {
            row.split("\t")[0].split("+")[0] + row.split("@")[1].split()[0]: row
            for row in page.locator("main table").first.locator("tbody tr").all_inner_texts()
        }
        assert "✓ PASS ×2" in rows["epolllinux"]  # noqa: RUF001
        history = page.locator("td .history", has_text="TIMEOUT")
        assert history.inner_text() == "✓ PASS → ◷ TIMEOUT"


def test_every_page_shows_its_data(browser, address):
    with Tab(browser, address) as tab:
        for route, texts in {
            "capabilities": ["ipv6", "∅ missing", "OSError: no address"],
            "changes": ["Regressed", BROKEN, "unexpected results went"],
            "mutants": ["✗ survived", "1 of 2 noticed", BROKEN],
            "explorer": ["broken: lost", "a wake-up", "✓ complete"],
            "bench": ["The echo", "1 KiB, 100 connections", "gevent (gevent is not installed)"],
            "query": ["family:cancel", "-col:linux"],
        }.items():
            page = tab.go(f"#/{route}")
            shown = page.inner_text("main")
            for text in texts:
                assert text in shown or text in page.text_content("main"), (route, text)
        page = tab.go("")
        page.locator(".matrix thead .python a").first.click()
        ready(page, "column")
        shown = page.inner_text("main")
        for text in ("Failures", "Probes", "Slowest", "waits", "Commit"):
            assert text in shown


def test_each_drawing_of_the_benchmarks_has_its_numbers_beside_it(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go("#/bench")
        bars = page.get_by_role("region", name="What must hold")
        assert bars.locator("tbody tr").count() == len(OTHERS[1]["bars"])
        assert bars.get_by_text("✗ does not hold").count() == 2
        assert "10 of 21 hold, 2 do not, 9 were not measured" in page.inner_text("main")
        # Echo by connections, idle and timers, each with its rate and its processor time.
        curves = page.locator("svg.curves")
        assert curves.count() == 6
        for number in range(curves.count()):
            drawn = curves.nth(number)
            label = drawn.get_attribute("aria-label").partition(";")[0]
            table = page.get_by_role("region", name=f"Numbers: {label}", exact=True)
            table = table.locator("tbody tr")
            assert table.count() == drawn.locator("polyline").count() > 1
        numbers = page.get_by_role("region", name="Numbers: The echo, 1 KiB, 100 connections")
        assert numbers.locator("tbody tr").count() == 7
        calls = numbers.locator("[title]").first.get_attribute("title")
        assert calls == "recvfrom 1.00, sendto 1.00, epoll_wait 0.10"
        drawn = page.get_by_role("img", name="1 KiB, 100 connections: round trips in a second")
        ours = drawn.locator("g.reactor")
        assert ours.locator("circle").count() == document.ROUNDS
        assert page.get_by_text("✗ fds: 4 before, 5 after").count() == 1


def test_the_keyboard_is_enough(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go("")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "filter"
        page.keyboard.type("family:accept")
        playwright.expect(page.locator("tr.row")).to_have_count(3)
        page.locator(".matrix tbody [tabindex='0']").focus()
        for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        label = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert label.startswith(BROKEN)
        assert page.locator(".matrix tbody [tabindex='0']").count() == 1
        page.keyboard.press("Enter")
        ready(page, "scenario")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_shut_out(browser, address, width, scheme):
    """No serious finding of axe-core, and no page is wider than its window."""
    name = "kqueue%2Buser%2Btimer%20%40%20darwin%2025%20arm64%20%40%20CPython%203.14"
    routes = ["", "#/?q=family:accept", f"#/scenario/{BROKEN}", f"#/column/{name}"]
    routes += [f"#/{one}" for one in ("capabilities", "changes", "mutants", "explorer", "bench")]
    with Tab(browser, address, width=width, scheme=scheme) as tab:
        for route in routes:
            page = tab.go(route)
            page.evaluate(
                "document.querySelectorAll('details').forEach((one) => (one.open = true))"
            )
            assert "No such" not in page.inner_text("h1")
            found = axe.Axe().run(page).response["violations"]
            serious = [
                (route, one["id"], one["nodes"][0]["html"][:300])
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_nothing_is_cut_off(browser, address):
    with Tab(browser, address) as tab:
        page = tab.go("#/?q=family:accept")
        page.emulate_media(media="print")
        assert (
            page.locator(".matrix-holder").evaluate("one => getComputedStyle(one).overflow")
            == "visible"
        )
        assert not page.locator(".tools").is_visible()


@pytest.mark.parametrize("single", [False, True])
def test_no_text_of_a_run_acts(browser, tmp_path, single):
    """Names and outputs that would be markup, controls or endless, in every field of a run."""
    found = Collection()
    run = hostile_run()
    run.results[0].output = "x" * 10_000_000
    run.results[0].id = f"evil.{HOSTILE}"
    found.add(run)
    found.add_other({**OTHERS[0], "programs": [{**OTHERS[0]["programs"][0], "name": HOSTILE}]})
    page_of = board.write(found, tmp_path, single=single, title=HOSTILE)
    with Tab(browser, page_of.as_uri()) as tab:
        page = tab.go("")
        page.click("#unfold")
        links = page.eval_on_selector_all(
            ".matrix tbody a, .matrix thead a", "all => all.map((one) => one.getAttribute('href'))"
        )
        for link in [*dict.fromkeys(links)][:40]:
            shown = tab.go(link)
            assert "No such" not in shown.inner_text("h1")
            assert shown.locator("main script, main img, main iframe").count() == 0
        for route in ("capabilities", "explorer", "changes"):
            assert tab.go(f"#/{route}").locator("main script, main img").count() == 0
        assert page.evaluate("typeof own") == "undefined"


def test_a_board_that_lost_a_file_says_so(browser, tmp_path):
    page_of = board.write(collection(), tmp_path)
    (tmp_path / "data" / "s0.js").unlink()
    tab = Tab(browser, page_of.as_uri())
    page = tab.go(f"#/scenario/{BROKEN}")
    assert "data/s0.js cannot be read" in page.inner_text("main")
    tab.context.close()


def test_the_board_of_files_is_the_board_of_their_merge(browser, tmp_path):
    """One command from what runs left: the same page from the merge as from the runs."""
    found = collection()
    jsonfile.write(tmp_path / "merged.json", found.to_json())
    again = Collection.from_json(jsonfile.read(tmp_path / "merged.json"), "merged.json")
    one = board.write(found, tmp_path / "one", single=True)
    two = board.write(again, tmp_path / "two", single=True)
    assert one.read_bytes() == two.read_bytes()
    with Tab(browser, two.as_uri()) as tab:
        assert "30 scenarios in 4 columns" in tab.go("").inner_text("h1")
