"""What a peer saw: counts, gaps between recurring things, and everything that was not as documented."""

import collections
import datetime
import threading
import time

from contract import problems


def stamp():
    """The time as it stands on the wire."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


class Journal:
    def __init__(self):
        self.lock = threading.RLock()
        self.counts = collections.defaultdict(collections.Counter)
        self.violations, self.undocumented = collections.Counter(), set()
        self.last, self.gaps, self.notes = {}, collections.defaultdict(list), collections.defaultdict(dict)

    def count(self, group, name):
        with self.lock:
            self.counts[group][name] += 1

    def violation(self, text):
        with self.lock:
            self.violations[text] += 1

    def held(self, name, shape, value):
        """Holds a value to a shape; whether it fits."""
        with self.lock:
            wrong = problems(shape, value, name, self.undocumented)
            for text in wrong:
                self.violation(text)
            return not wrong

    def missing(self, where, value, names):
        for name in names:
            if name not in value:
                self.violation(f"{where}: {name} is missing")

    def note(self, group, name, value):
        with self.lock:
            self.notes[group][name] = value

    def gap(self, name, guidance=None):
        """Something that recurs has happened; `guidance` is the wait that was asked for after it."""
        with self.lock:
            now = time.monotonic()
            if name in self.last:
                before, asked = self.last[name]
                self.gaps[name if asked is None else f"{name} after {asked} s"].append(now - before)
            self.last[name] = now, guidance

    def summary(self, **more):
        with self.lock:
            gaps = {name: {"count": len(all), "least": round(min(all), 2), "most": round(max(all), 2),
                           "mean": round(sum(all) / len(all), 2)} for name, all in sorted(self.gaps.items())}
            return {**more, **{name: dict(sorted(counts.items())) for name, counts in sorted(self.counts.items())},
                    **self.notes, "gaps_seconds": gaps, "undocumented_fields": sorted(self.undocumented),
                    "violations": dict(self.violations)}
