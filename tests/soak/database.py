"""A throw-away PostgreSQL, and questions to it. Standard library only."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Database:
    """Lasts as long as this program."""

    def __init__(self, **environment):
        self.process = subprocess.Popen(
            [ROOT / "tests/tools/postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment}, start_new_session=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise SystemExit("error: no PostgreSQL; run tests/tools/install")

    def run(self, sql):
        """Runs statements; gives what they print."""
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url]
        return subprocess.run(command, input=sql, text=True, capture_output=True, check=True).stdout

    def rows(self, sql):
        """The rows of a query, as objects."""
        text = self.run(f"SELECT coalesce(json_agg(it), '[]') FROM ({sql}) it")
        return json.loads(text)

    def one(self, sql):
        """The one value of a query."""
        return next(iter(self.rows(sql)[0].values()))

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
