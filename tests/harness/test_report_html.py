"""The page: what is on it, and that nothing of a run can act in it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from harness.model import Run, Status
from harness.report import html, words
from tests.harness.test_report_sample import HUNG, events, hostile_run, result, run, timeline

VOID = {"meta", "br", "input"}


class Page(HTMLParser):
    """What a browser would make of the page; fails on tags that do not fit."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append((tag, dict(attributes).get("id")))

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open, tag
        assert self._open.pop()[0] == tag, (tag, self.getpos())

    def handle_data(self, data):
        for tag, name in self._open:
            for key in [tag, f"#{name}"] if name else [tag]:
                self.texts.setdefault(key, []).append(data)

    def text(self, key):
        return "".join(self.texts.get(key, []))

    def attributes(self, name):
        return [found[name] for _, found in self.tags if name in found]


@pytest.fixture(scope="module")
def page():
    return Page(html.render(run()))


@pytest.fixture(scope="module")
def attacked():
    return Page(html.render(hostile_run()))


def test_every_scenario_is_an_anchor_once_and_every_link_leads_to_one(page, attacked):
    for made, seen in ((run(), page), (hostile_run(), attacked)):
        ids = seen.attributes("id")
        assert len(ids) == len(set(ids))
        for one in made.results:
            assert ids.count(words.visible(one.id)) == 1
        local = [link[1:] for link in seen.attributes("href") if link.startswith("#")]
        assert len(local) > len(made.results)
        assert {unquote(link) for link in local} <= set(ids)


def test_what_is_unexpected_says_so_in_words(page):
    for one in run().results:
        text = page.text(f"#{one.id}")
        assert words.labelled(one.status) in text
        assert ("unexpected" in text) is one.unexpected, one.id
    assert "for information" in page.text("#good.only-informs")
    assert "expected" in page.text("#bad.known-to-fail")


def test_the_unexpected_come_first_with_reason_and_replay(page):
    first = page.text("#unexpected")
    for one in run().results:
        assert (one.replay in first) is one.unexpected
        assert (one.reason in first) is one.unexpected or not one.reason
    assert "expectations.toml:9: there is no scenario 'gone.long-ago'" in first


def test_the_headline_the_circumstances_and_the_legend_are_there(page):
    assert words.headline(run()) in " ".join(page.text("h1").replace("✗ ", "").split())
    assert page.text("title").startswith(f"✗ {words.headline(run())}")
    for text in ("linux 6.1", "x86_64", "0123456789ab, with changes", "linux-epoll", "22.00 s"):
        assert text in page.text("header")
    for status in Status:
        assert words.MEANINGS[status] in page.text("#families")


def test_a_simulated_run_says_so_in_headline_circumstances_and_column(page):
    made = run(ground="sim", dialect="netbsd")
    seen = html.render(made)
    shown = Page(seen)
    assert "on simulated netbsd (on linux 6.1)" in " ".join(shown.text("h1").split())
    for text in ("simulated netbsd (on linux 6.1)", "Dialect", "netbsd"):
        assert text in shown.text("header")
    assert ">epoll+eventfd+timeout on sim-netbsd</th>" in seen
    assert ">epoll+eventfd+timeout</th>" in html.render(run())
    assert "Dialect" not in page.text("header")


def test_the_drill_down_has_everything_that_is_known(page):
    text = page.text(f"#{HUNG}")
    for part in (
        "Law 4, Cancel.",
        "The law of hang.waits-for-ever holds.",
        "corosio 192; recv(2)",
        "no result within 20.0 s",
        "--seed 7",
        "[1, null]",  # a value that the scenario reported
        "waits 3",
        "all hold: no-leaked-fd",
        "it never ended",  # the operation in the drawing
        "Thread 0x7f",
        "recv PARKED",
        "trying again",
    ):
        assert part in " ".join(text.split()), part
    assert "parks" not in text  # a counter that is zero
    assert "1 of 1 broken: no-leaked-fd: 1 left open" in page.text("#bad.fails")
    assert "the event came late✓ seen" in page.text("#good.shows-a-permit")
    assert "it came early (BSD)" in page.text("#good.shows-a-permit")
    assert "FAIL or PASS: the kernel rounds up" in page.text("#bad.known-to-fail")
    assert "odd" in page.text("#bad.disagrees")


def test_what_is_missing_stands_apart_with_evidence_and_cost(page):
    text = " ".join(page.text("#capabilities").split())
    assert "kqueue ∅ missing Python lacks it here gap.needs-kqueue" in text
    assert "unix ✓ yes bound a path" in text
    assert "another ∅ missing no such thing here gap.finds-out" in text


def test_nothing_of_a_run_acts(attacked):
    tags = [tag for tag, _ in attacked.tags]
    assert tags.count("script") == 1
    assert "alert" not in attacked.text("script")
    # The very tags of a harmless run: no text has become one, or has closed one.
    harmless = Page(html.render(run()))
    assert set(tags) <= {tag for tag, _ in harmless.tags}
    for _, attributes in attacked.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for link in attacked.attributes("href"):
        assert re.match(r"#|https?://example\.org/|(run|junit)\.\w+$|summary\.md$", link), link
    shown = attacked.text("body")
    assert "<script>alert('own')</script> ]]> --> </pre></details>" in shown
    assert "{{ 7 * 7 }} {% x %}" in shown
    assert r"\x1b[31mred\x1b[0m" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff\uffff]", shown)


def test_the_policy_allows_our_style_and_script_alone(attacked):
    policy = next(found["content"] for _, found in attacked.tags if "http-equiv" in found)
    for tag in ("style", "script"):
        digest = hashlib.sha256(attacked.text(tag).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}';" in policy
    assert policy.startswith("default-src 'none';")


def test_the_page_asks_for_nothing_from_elsewhere(page):
    assert "src" not in {name for _, found in page.tags for name in found}
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object"})
    assert not re.search(r"url\(|@import|https?:", page.text("style") + page.text("script"))


def test_web_addresses_are_links_and_nothing_else_is():
    text = "see https://example.org/a?b=1&c=2), javascript:alert(1) or http://x.org."
    seen = Page(html.render(run(result("a.b", provenance=text))))
    links = [link for link in seen.attributes("href") if ":" in link]
    assert links == ["https://example.org/a?b=1&c=2", "http://x.org"]
    assert text in seen.text("#a.b")


def test_a_run_without_results_or_circumstances_is_a_page():
    empty = run(platform={}, python={}, git={}, argv=[], capabilities=[], counters={}, started="?")
    seen = Page(html.render(Run(empty.info)))
    assert "nothing matched" in seen.text("h1")
    assert "?" in seen.text("header")


def test_a_large_run_of_passes_is_a_small_page_that_says_what_it_leaves_out():
    many = [
        result(f"big.number-{number}", trace=events(5000), output="x" * 65536, timeline=moments())
        for number in range(90)
    ]
    text = html.render(run(*many))
    assert len(text.encode()) < 2 * 1024 * 1024
    seen = Page(text).text("#big.number-0")
    assert "… 4940 events; run.json has them" in seen
    assert "[... 63536 characters; run.json has them ...]" in seen


def moments():
    return [timeline()[0] | {"t": number / 1000} for number in range(5000)]


def test_an_unexpected_result_is_shown_whole():
    one = result("a.b", Status.FAIL, unexpected=True, trace=events(900), output="x" * 65536)
    seen = Page(html.render(run(one))).text("#a.b")
    assert "run.json has them" not in seen
    assert "899" in seen


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_text_can_be_read_in_light_and_dark(page):
    """The contrast that WCAG 2 asks for (level AA)."""
    schemes = re.findall(r":root \{([^}]*)\}", page.text("style"))[:2]
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))
        pairs = [(str(status), f"{status}-bg") for status in Status]
        pairs += [("UNSUPPORTED", "hatch"), ("text", "page"), ("text", "soft"), ("link", "card")]
        pairs += [("muted", "page"), ("muted", "card"), ("muted", "soft"), ("FAIL", "card")]
        for front, back in pairs:
            assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
