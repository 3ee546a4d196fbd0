"""Many people on the pages at the same time: how long each waits, and whether anything is lost.

    python bench/crowd.py [--opening 200] [--voting 50] [--browsers 3] [--seconds 60]

A real app with a home of its own. First all come at once: every window is opened in the same moment, while the voters
vote on one case after the other without a pause for thought. Then they work at the pace of hands: each of the windows
goes to another page every 30 seconds, each voter votes every 10, and the browsers, which are real ones, vote as fast as
they show the next case. Windows without a browser speak to the app's queue as a browser does (`tests/window.py`).

Wanted: nothing lost, and 95 of 100 page actions at the pace of hands within a second. Clients and browsers run on the
same machine as the app, so that their share of its cores is part of every wait; both shares are told.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from reviewing import answered_set, kept, votes
from served_app import Served, served
from window import Window

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
TABS = ("page-plan", "page-data", "page-runs", "page-playground", "page-review")
AT_ONCE = 3
"""Votes of each voter while all come at once."""
TAB_SECONDS, VOTE_SECONDS = 30.0, 10.0
PATIENCE_MS = 300_000
WANTED_SECONDS = 1.0
Told = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opening", type=int, default=200)
    parser.add_argument("--voting", type=int, default=50)
    parser.add_argument("--browsers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="at the pace of hands")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bedside-crowd-") as place:
        home = Path(place) / "home"
        os.environ["BEDSIDE_HOME"] = str(home)
        set_id = answered_set("crowd", AT_ONCE + int(asked.seconds) + 200)
        with served(home) as app, browsers(asked.browsers, app.url) as pages:
            crowd = _Crowd(app, set_id)
            crowd.come_at_once(asked.opening, asked.voting, pages)
            crowd.at_the_pace_of_hands(asked.seconds, pages)
        return crowd.judged()


class _Crowd:
    def __init__(self, app: Served, set_id: str) -> None:
        self.url, self.set_id = app.url, set_id
        self.process = psutil.Process(app.process.pid)
        self.waits: Told = defaultdict(list)
        self.windows: list[Window] = []
        self.voters: list[tuple[Window, Iterator[str]]] = []
        self.told: list[str] = []
        self.in_browsers = 0
        self.failed: list[str] = []
        self.slow = False

    def come_at_once(self, opening: int, voting: int, pages: list[Any]) -> None:
        """All windows opened in the same moment, while all voters vote."""
        for number in range(voting):
            window = Window(self.url, timeout=600)
            window.open()
            self.voters.append((window, votes(window, self.set_id, f"Voter {number}")))
        go = threading.Event()
        work = [self._opens] * opening + [lambda one=one: self._votes_on(one, AT_ONCE) for one in self.voters]
        threads = [threading.Thread(target=self._told_of, args=(go, one)) for one in work]
        for one in threads:
            one.start()
        before = self._used()
        go.set()
        for page in pages:
            self._browse(page)
        for one in threads:
            one.join()
        title = f"All at once: {opening} windows opened, {voting} voters, {len(pages)} browsers"
        self._table(title, before)

    def at_the_pace_of_hands(self, seconds: float, pages: list[Any]) -> None:
        """What they all do when nobody hurries."""
        until = time.monotonic() + seconds
        go = threading.Event()
        work: list[Callable[[], None]] = [lambda one=one: self._looks_around(one, until) for one in self.windows]
        work += [lambda one=one: self._thinks_and_votes(one, until) for one in self.voters]
        threads = [threading.Thread(target=self._told_of, args=(go, one)) for one in work]
        for one in threads:
            one.start()
        before = self._used()
        go.set()
        while pages and time.monotonic() < until:
            for page in pages:
                self._browse(page)
        for one in threads:
            one.join()
        self.slow = self._table(f"At the pace of hands, for {seconds:.0f} s", before) > WANTED_SECONDS

    def judged(self) -> int:
        """Whether all that was called kept is there, and nothing twice; the exit status."""
        found = kept(self.set_id)
        lost = set(self.told) - {one.comment for one in found}
        of_browsers = sum(one.reviewer.startswith("Browser") for one in found)
        print(
            f"\nVotes that the page called kept: {len(self.told)}, in browsers {self.in_browsers}; in the database: "
            f"{len(found) - of_browsers} and {of_browsers}; lost: {len(lost)}."
        )
        print(f"Actions that failed: {len(self.failed)}. {' '.join(self.failed[:3])}")
        print(f"95 of 100 within {WANTED_SECONDS:.0f} s at the pace of hands: {'no' if self.slow else 'yes'}.")
        return 1 if lost or self.failed or len(found) != len(self.told) + self.in_browsers else 0

    def _told_of(self, go: threading.Event, work: Callable[[], None]) -> None:
        go.wait()
        try:
            work()
        except Exception as error:  # whatever it is: this client's action was lost
            self.failed.append(f"{type(error).__name__}: {str(error)[:200]}.")

    def _took(self, what: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = work()
        self.waits[what].append(time.perf_counter() - began)
        return found

    def _opens(self) -> None:
        def opened() -> Window:
            window = Window(self.url, timeout=600)
            window.open()
            return window

        self.windows.append(self._took("open the pages", opened))

    def _votes_on(self, voter: tuple[Window, Iterator[str]], most: int) -> None:
        for _ in range(most):
            self.told.append(self._took("vote, and the next case", lambda: next(voter[1])))

    def _thinks_and_votes(self, voter: tuple[Window, Iterator[str]], until: float) -> None:
        while _rested(VOTE_SECONDS, until):
            self._votes_on(voter, 1)

    def _looks_around(self, window: Window, until: float) -> None:
        while _rested(TAB_SECONDS, until):
            tab = random.choice(TABS)
            self._took("go to another page", lambda tab=tab: window.happen(tab, "select"))

    def _browse(self, page: Any) -> None:
        """A vote in a real browser, until the next case is shown."""
        question = page.locator("#review-question").inner_text()

        def vote() -> None:
            page.click("#review-vote-tie")
            page.wait_for_selector("#review-next", state="visible")
            page.click("#review-next")
            page.wait_for_function(
                "before => document.querySelector('#review-question').innerText != before", arg=question
            )

        self._took("vote in a browser, and the next case", vote)
        self.in_browsers += 1

    def _used(self) -> tuple[float, float, float]:
        app, mine = self.process.cpu_times(), time.process_time()
        return app.user + app.system, mine, time.perf_counter()

    def _table(self, title: str, before: tuple[float, float, float]) -> float:
        """Print the waits since the last table; returns the 95th percentile of all of them together."""
        app, mine, wall = (now - then for now, then in zip(self._used(), before, strict=True))
        print(f"\n{title}\n{'':40} {'n':>6} {'p50 (s)':>8} {'p95 (s)':>8} {'longest':>8}")
        for what, found in self.waits.items():
            print(f"{what:40} {len(found):6} {statistics.median(found):8.2f} {p95(found):8.2f} {max(found):8.2f}")
        all_of_them = [one for found in self.waits.values() for one in found]
        print(
            f"{wall:.0f} s; of {len(os.sched_getaffinity(0))} cores the app used {app / wall:.2f} and the clients "
            f"{mine / wall:.2f}, without the browsers; load of the machine {os.getloadavg()[0]:.1f}.",
            flush=True,
        )
        self.waits.clear()
        return p95(all_of_them)


@contextmanager
def browsers(count: int, url: str) -> Iterator[list[Any]]:
    """Real browsers, each on the Review page with a case before it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        pages = []
        for number in range(count):
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = chromium.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(url)
            page.get_by_role("tab", name="Review", exact=True).click()
            page.fill("#review-reviewer input, #review-reviewer textarea", f"Browser {number}")
            page.keyboard.press("Enter")
            page.wait_for_selector("#review-vote-tie", state="visible")
            pages.append(page)
        yield pages
        for page in pages:
            page.context.browser.close()


def p95(seconds: list[float]) -> float:
    """The 95th percentile."""
    return sorted(seconds)[min(len(seconds) - 1, int(0.95 * len(seconds)))] if seconds else 0.0


def _rested(mean: float, until: float) -> bool:
    """Wait as somebody does who acts once in so many seconds on the mean; false where the time is over by then."""
    wait = random.uniform(0, 2 * mean)
    time.sleep(max(0.0, min(wait, until - time.monotonic())))
    return time.monotonic() < until


if __name__ == "__main__":
    sys.exit(main())
