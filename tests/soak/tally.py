"""What must agree at the end of a run of `kills`: what was filed, what the servers themselves saw,
what the Backend stored, and what the satellite numbered. Standard library only."""

import collections
import json

INTERRUPTED = "interrupted"


def lines(path):
    """The objects of a file with one a line; a line cut by a kill is none."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


class Tally:
    """Counts, and says what differs."""

    def __init__(self, stage, files):
        self.stage, self.files, self.differences = stage, files, []

    def differ(self, count, text, examples=()):
        print(f"  {count:7d}  {text}")
        if count:
            self.differences.append(text)
            for example in list(examples)[:5]:
                print(f"           {example}")

    def commands(self):
        """Each command that was filed has one end; a completed restart started exactly one process."""
        rows = self.stage.rows(
            """SELECT id, correlation_id, command_type, status, coalesce(error_message, '')
               FROM "satelliteCommands" WHERE correlation_id LIKE 'kills-%'""")
        stored = {row[0]: row for row in rows}
        answered = {it["id"] for it in lines(self.files.filed) if it.get("id")}
        effects = collections.Counter(
            it["command"] for it in lines(self.files.effects) if it["command"])
        interrupted = {row[0] for row in rows if row[3] == "failed" and INTERRUPTED in row[4]}
        is_start = {row[0] for row in rows if row[2] in ("restart", "spawn")}
        print(f"\nCommands\n  {len(stored):7d}  filed, {len(answered)} of them with an answer of the Backend")
        for (kind, status), count in sorted(collections.Counter(
                (row[2], row[3]) for row in rows).items()):
            print(f"  {count:7d}  {kind} {status}")
        print(f"  {len(interrupted):7d}  of the failed ones were interrupted by a kill: each took effect once or not")
        executed = sum(1 for id in effects if id in stored)
        print(f"  {executed:7d}  started a process, by what the processes themselves noted"
              f" ({sum(effects[id] for id in effects if id in stored)} processes)")
        final = [row for row in rows if row[3] in ("completed", "failed")]
        print(f"  {len(final):7d}  have a result")
        for text, count in collections.Counter(
                row[4][:160] for row in rows if row[3] == "failed").most_common(8):
            print(f"  {count:7d}  failed: {text}")
        print("Differences")
        lost = sorted(answered - set(stored))
        self.differ(len(lost), "were filed and are not stored", lost)
        open_ones = [row for row in rows if row not in final]
        self.differ(len(open_ones), "have no result", open_ones)
        never = [row for row in rows if row[2] == "restart" and row[3] == "completed" and not effects[row[0]]]
        self.differ(len(never), "restarts completed and no process saw them", never)
        twice = [row for row in rows if effects[row[0]] > 1]
        self.differ(len(twice), "took effect more than once", twice)
        but = [row for row in rows if row[3] == "failed" and row[0] not in interrupted and effects[row[0]]]
        self.differ(len(but), "failed, were not interrupted, and took effect", but)
        alien = [row for row in rows if row[0] not in is_start and effects[row[0]]]
        self.differ(len(alien), "are no starts and started a process", alien)
        return len(stored)

    def events(self, emitted=None):
        """Each number that the satellite gave is stored once, or named in a gap."""
        rows = self.stage.rows('SELECT seq, event_id, type, data FROM "satelliteEvents" WHERE seq IS NOT NULL')
        numbers = collections.Counter(row[0] for row in rows)
        spans, reasons = [(seq, seq) for seq in numbers], collections.Counter()
        for _, _, kind, data in rows:
            if kind == "satellite.events.gap":
                gap = json.loads(data)
                spans.append((gap["from_seq"], gap["to_seq"]))
                reasons[gap.get("reason")] += gap["count"]
        # A satellite begins where no other has been, and counts from there.
        spans.sort()
        missing, covered = [], spans[0][0] - 1 if spans else 0
        first = covered
        for begin, end in spans:
            if begin > covered + 1:
                missing.append((covered + 1, begin - 1))
            covered = max(covered, end)
        if emitted and emitted > covered:
            missing.append((covered + 1, emitted))
        lost = sum(end - begin + 1 for begin, end in missing)
        print(f"\nEvents\n  {max(covered, emitted or 0) - first:7d}  emitted, by the satellite's numbers")
        print(f"  {len(rows):7d}  stored")
        named = max(covered, emitted or 0) - first - lost - len(numbers)
        print(f"  {named:7d}  named in gaps and not stored"
              + "".join(f"; {count} {reason}" for reason, count in sorted(reasons.items())))
        for kind, count in collections.Counter(row[2] for row in rows).most_common(12):
            print(f"  {count:7d}  {kind}")
        print("Differences")
        again = sorted(seq for seq, count in numbers.items() if count > 1)
        self.differ(len(again), "numbers are stored more than once", again)
        ids = collections.Counter(row[1] for row in rows)
        self.differ(sum(1 for count in ids.values() if count > 1), "ids are stored more than once")
        self.differ(lost, "numbers are neither stored nor named in a gap", missing)

    def processes(self, left):
        self.differ(len(left), "processes of servers are left behind", left)
