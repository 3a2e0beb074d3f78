#!/usr/bin/python3
"""Rounds of kill -9 of gatherd under load, and a checker for what must survive them.

    tests/e2e/crash_rounds.py --bin DIR [--rounds N] [--seed S] [--json] [--mutate HOW]

Clients submit tasks, batches and gathers, poll and cancel, while gatherd alone is killed
at random moments, also while it recovers, and started anew. Requests without an answer
are sent again with the same Idempotency-Key, or, those without a key, left open. When all
has ended, three accounts are held against each other: what was acknowledged, what the API
tells at the end, and a log to which the commands themselves append a line when they start.

    lost       acknowledged, but not there or without an end, or ended as LostError
    twice      created twice, or started twice
    disturbed  a command that was to run through all rounds was not let alone
    other      another result than the job has, than a client was told, or than the log says

Exit status 1 if there is any. So that this means something, the checker is also given
falsified accounts, and has to find each; --mutate shows one of these as if it were real.
"""

import argparse
import collections
import copy
import http.client
import json
import os
import random
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
import daemon  # noqa: E402

N_CLIENTS = 8
N_LONG = 8
SLOTS = N_LONG + 8
BACKLOG = 400  # unfinished tasks at which clients pause
LARGE = 100_000  # bytes of output: more than is kept in memory

START = 'echo "S $0 $GATHERD_TASK $GATHERD_ATTEMPT" >>"$1"; '
# What a command does, and how its task ends: state, exit code, stdout.
COMMANDS = {
    "quick": (START + 'echo "$0"', ("succeeded", 0, "{key}\n")),
    "slow": (START + 'sleep 0.$(($$ % 5)); echo "E $0" >>"$1"; echo "$0"; exit 3',
             ("succeeded", 3, "{key}\n")),
    "fails": (START + "exit 7", ("failed", 7, None)),
    "stuck": (START + "exec sleep 3600", ("cancelled", None, None)),
    "large": (START + f'yes "$0" | head -c {LARGE}', ("succeeded", 0, None)),
}
# Tells of every signal that it gets, counts on its output, ends when told by a file.
LONG = """trap 'echo "T $0" >>"$1"' HUP INT QUIT USR1 USR2 ALRM TERM
echo "S $0 $GATHERD_TASK $GATHERD_ATTEMPT $$" >>"$1"
i=0
while [ ! -e "$2" ]; do i=$((i + 1)); echo $i; sleep 0.1; done"""


class Accounts:
    """What is held against each other at the end."""

    def __init__(self):
        self.kinds = {}  # key of a job: its kind
        self.acknowledged = {}  # key: id of its task
        self.cancelled = set()  # keys whose cancel was asked for
        self.seen = {}  # key: (state, result, exception) as a client saw it
        self.ends = {}  # id: the last snapshot
        self.log = []  # lines, split: S key task attempt [pid], E key, T key
        self.gone = []  # long commands that were no longer there after a round


class Load:
    """Clients that submit and poll until told to stop, through every crash."""

    def __init__(self, server, log, seed):
        self.server, self.log = server, log
        self.accounts, self.lock = Accounts(), threading.Lock()
        self.stopping, self.backlog, self.errors = False, 0, []
        work = [(self.submit, i) for i in range(N_CLIENTS)] + [(self.poll, N_CLIENTS)]
        self.threads = [threading.Thread(target=self.guard, args=(f, i, seed), daemon=True)
                        for f, i in work]

    def guard(self, function, i, seed):
        """Runs a client; what it did not expect is told at the end."""
        try:
            function(i, random.Random(seed * 1000 + i))
        except Exception as e:
            self.errors.append(f"{function.__name__}: {e!r}")

    # --- requests

    def ask(self, method, path, body=None, key=None):
        """(status, JSON), or None if there was no answer or it says to come again."""
        port = self.server.port
        if not port:
            time.sleep(0.005)
            return None
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            headers = {"Idempotency-Key": key} if key else {}
            c.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = c.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
            return None
        finally:
            c.close()
        return None if answer.status == 503 else (answer.status, json.loads(text))

    def insist(self, method, path, body, key):
        while not (answer := self.ask(method, path, body, key)):
            pass
        return answer

    # --- jobs

    def job(self, key, kind):
        self.accounts.kinds[key] = kind
        if kind == "sleep":
            return {"name": key, "sleep": 0.05, "value": key}
        script = LONG if kind == "long" else COMMANDS[kind][0]
        return {"name": key, "check": kind != "slow",
                "run": ["/bin/sh", "-c", script, key, self.log, self.log + ".end"]}

    def submit(self, client, rng):
        for n in range(10**9):
            if self.stopping:
                return
            if self.backlog > BACKLOG:
                time.sleep(0.02)
                continue
            how = rng.choice(("tasks", "tasks", "batches", "gather"))
            keys = [f"{client}-{n}-{i}"
                    for i in range(1 if how == "tasks" else rng.randint(1, 8))]
            kinds = rng.choices(("quick", "slow", "fails", "large", "sleep"), (8, 4, 1, 1, 4),
                                k=len(keys))
            jobs = [self.job(*pair) for pair in zip(keys, kinds)]
            body = jobs[0] if how == "tasks" else {"jobs": jobs, "return_exceptions": True}
            if how == "tasks" and rng.random() < 0.2:
                self.submit_stuck(keys[0])
                continue
            if rng.random() < 0.7:
                answer = self.insist("POST", "/v1/" + how, body, keys[0])
            else:
                answer = self.ask("POST", "/v1/" + how, body)
            if answer:
                self.acknowledge(how, keys, *answer)
            if how == "tasks" and answer and rng.random() < 0.2:
                self.accounts.cancelled.add(keys[0])
                self.ask("POST", f"/v1/tasks/{answer[1]['id']}/cancel", {})

    def submit_stuck(self, key):
        """A command that ends by its cancel alone."""
        job = self.job(key, "stuck")
        task = self.insist("POST", "/v1/tasks", job, key)
        self.acknowledge("tasks", [key], *task)
        self.accounts.cancelled.add(key)
        answer = self.insist("POST", f"/v1/tasks/{task[1]['id']}/cancel", {}, None)
        if answer[0] not in (200, 202):
            raise RuntimeError(f"cancel: {answer}")

    def acknowledge(self, how, keys, status, answer):
        if status not in (200, 201, 202):
            raise RuntimeError(f"POST /v1/{how}: {status} {answer}")
        results = answer.get("results", [])
        ids = [answer["id"]] if how == "tasks" else answer.get("tasks") or \
            [r["task"] for r in results]
        with self.lock:
            self.accounts.acknowledged.update(zip(keys, ids, strict=True))
        for key, r in zip(keys, results):
            self.see(key, r.get("result"), r.get("exception"))

    def see(self, key, result, exception):
        with self.lock:
            self.accounts.seen.setdefault(key, (result, exception))

    def poll(self, _client, rng):
        while not self.stopping:
            with self.lock:
                some = rng.sample(list(self.accounts.acknowledged.items()),
                                  min(5, len(self.accounts.acknowledged)))
            for key, task in some:
                answer = self.ask("GET", f"/v1/tasks/{task}")
                if answer and answer[0] == 200 and answer[1]["done"]:
                    self.see(key, answer[1]["result"], answer[1]["exception"])
            answer = self.ask("GET", "/v1/info")
            self.backlog = answer[1]["tasks"] if answer else self.backlog
            time.sleep(0.01)

    # --- commands that run through all rounds

    def start_long(self):
        for i in range(N_LONG):
            key = f"long-{i}"
            answer = self.insist("POST", "/v1/tasks", self.job(key, "long"), key)
            self.accounts.acknowledged[key] = answer[1]["id"]

    def read_log(self):
        try:
            with open(self.log, encoding="ascii") as f:
                self.accounts.log = [line.split() for line in f]
        except FileNotFoundError:
            pass
        return self.accounts.log


def birth(pid):
    """When a process was started, in ticks: with its pid, who it is. None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


# --- the checker: from the accounts alone


def same(kind, key, end):
    """Whether a task ended as its job does."""
    result, exception = end["result"], end["exception"]
    if kind == "sleep":
        return end["state"] == "succeeded" and result == key
    if kind == "long":
        lines = result["stdout"].split() if end["state"] == "succeeded" else []
        return len(lines) > 0 and lines == [str(i + 1) for i in range(len(lines))]
    state, code, stdout = COMMANDS[kind][1]
    if state == "cancelled":
        return end["state"] == state
    if state == "failed":
        return end["state"] == state and (exception["type"], exception["exit_code"]) == \
            ("ExitError", code)
    if kind == "large":
        return end["state"] == state and len(result["stdout"]) == LARGE
    return end["state"] == state and (result["exit_code"], result["stdout"]) == \
        (code, stdout.format(key=key))


def check(a):
    """The violations: a list for each sort."""
    found = {"lost": [], "twice": [], "disturbed": list(a.gone), "other": []}
    by_key = collections.defaultdict(list)
    for end in a.ends.values():
        by_key[end["name"]].append(end)
    starts = collections.Counter(tuple(line[1:4]) for line in a.log if line[0] == "S")
    started = {key: task for key, task, _ in starts}
    finished = {line[1] for line in a.log if line[0] == "E"}

    for key, task in a.acknowledged.items():
        end = a.ends.get(task)
        if not end or not end["done"]:
            found["lost"].append(f"{key}: acknowledged as task {task}, now {end}")
    for key, ends in by_key.items():
        if len(ends) > 1:
            found["twice"].append(f"{key}: tasks {[end['id'] for end in ends]}")
        elif ends[0]["done"]:
            check_end(a, key, ends[0], started, finished, found)
    for start, n in starts.items():
        if n > 1:
            found["twice"].append(f"{start[0]}: task {start[1]}, attempt {start[2]}, {n} starts")
        if start[0] not in by_key or str(by_key[start[0]][0]["id"]) != start[1]:
            found["other"].append(f"{start[0]}: ran as {start[1]}, but there is no such task")
    for line in a.log:
        if line[0] == "T":
            found["disturbed"].append(f"{line[1]}: got a signal")
    return found


def check_end(a, key, end, started, finished, found):
    kind, exception = a.kinds[key], end["exception"] or {}
    if exception.get("type") == "LostError":
        found["lost"].append(f"{key}: {exception}")
    elif end["state"] == "cancelled" and kind != "long":
        if key not in a.cancelled:
            found["other"].append(f"{key}: cancelled, but nobody asked for it")
    elif not same(kind, key, end):
        found["disturbed" if kind == "long" else "other"].append(
            f"{key}: a {kind} job ended as {end['state']}, {str(end['result'])[:200]}, {exception}")
    elif kind != "sleep" and key not in started:
        found["other"].append(f"{key}: ended well, but never ran")
    elif kind == "slow" and key not in finished:
        found["other"].append(f"{key}: ended well, but its log says otherwise")
    if a.acknowledged.get(key, end["id"]) != end["id"]:
        found["other"].append(f"{key}: acknowledged as {a.acknowledged[key]}, is {end['id']}")
    if key in a.seen and a.seen[key] != (end["result"], end["exception"]):
        found["other"].append(f"{key}: seen as {a.seen[key]}, now {end['result'], exception}")


def mutate(accounts, how):
    """The same accounts, with one thing falsified."""
    a = copy.copy(accounts)
    a.log, a.ends = list(a.log), dict(a.ends)
    key = next(k for k, kind in a.kinds.items() if kind == "quick" and k in a.acknowledged)
    task = a.acknowledged[key]
    if how == "twice":
        a.log.append(next(line for line in a.log if line[0] == "S"))
    elif how == "lost":
        del a.ends[task]
    elif how == "disturbed":
        a.log.append(["T", "long-0"])
    elif how == "other":
        a.ends[task] = dict(a.ends[task], state="failed", result=None, exception={"type": "?"})
    return a


# --- the rounds


class Rounds:
    def __init__(self, args):
        self.args, self.rng = args, random.Random(args.seed)
        place = daemon.directory(args.bin)
        self.server = daemon.Daemon(args.bin, "--slots", str(SLOTS), "--log-level", "warning",
                                    state=os.path.join(place, "state"))
        self.load = Load(self.server, os.path.join(place, "log"), args.seed)
        self.start_times = []

    def start(self):
        start = time.monotonic()
        self.server.start()
        self.start_times.append(time.monotonic() - start)

    def crash_in_recovery(self):
        """Killed before it accepts, or hardly after."""
        self.server.launch()
        time.sleep(self.rng.uniform(0, 0.03))
        self.server.kill()

    def run(self):
        self.start()
        self.load.start_long()
        long = self.wait_for_long()
        for t in self.load.threads:
            t.start()
        for n in range(self.args.rounds):
            time.sleep(self.rng.uniform(0, 0.25))
            self.server.kill()
            if self.rng.random() < 0.2:
                self.crash_in_recovery()
            self.start()
            self.load.accounts.gone += [f"{key}: gone after round {n}" for key, who in long.items()
                                        if birth(who[0]) != who[1]]
        self.load.stopping = True
        for t in self.load.threads:
            t.join(120)
        self.drain(len(long))
        self.load.read_log()
        return self.load.accounts

    def wait_for_long(self):
        """key: (pid, birth) of the long commands, once all run."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            lines = [line for line in self.load.read_log() if line[0] == "S" and len(line) == 5]
            if len(lines) == N_LONG:
                return {line[1]: (line[4], birth(line[4])) for line in lines}
            time.sleep(0.01)
        raise RuntimeError("the long commands do not start")

    def drain(self, n_long):
        """Lets all tasks end, the long ones last, and keeps how they did."""
        self.wait_unfinished(n_long)
        with open(self.load.log + ".end", "w", encoding="ascii"):
            pass
        self.wait_unfinished(0)
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)

        def get(path):
            c.request("GET", path)
            return json.loads(c.getresponse().read())

        path = "/v1/tasks?order=asc&limit=1000"
        while path:  # the list tells which there are; results are in the snapshots
            page = get(path)
            ids = [task["id"] for task in page["tasks"]]
            self.load.accounts.ends.update((i, get(f"/v1/tasks/{i}")) for i in ids)
            path = page["next"]
        c.close()

    def wait_unfinished(self, n):
        """Until at most n tasks are unfinished; two minutes without any end are enough."""
        last, end = None, time.monotonic() + 120
        while (now := self.server.call("GET", "/v1/info")["tasks"]) > n:
            if now != last:
                last, end = now, time.monotonic() + 120
            elif time.monotonic() > end:
                return
            time.sleep(0.05)


def report(args, rounds, accounts, seconds):
    found = check(mutate(accounts, args.mutate) if args.mutate else accounts)
    blind = [how for how in found if len(check(mutate(accounts, how))[how]) <= len(found[how])]
    found["other"] += rounds.load.errors
    for sort, violations in found.items():
        for text in violations[:10]:
            print(f"{sort}: {text}", file=sys.stderr)
    numbers = {sort: len(violations) for sort, violations in found.items()}
    starts = sum(line[0] == "S" for line in accounts.log)
    print(f"{args.rounds} rounds of kill -9, seed {args.seed}, {seconds:.0f} s: "
          f"{len(accounts.acknowledged):,} tasks acknowledged, {starts:,} commands started, "
          f"{N_LONG} watched throughout; {numbers['lost']} lost, {numbers['twice']} started twice, "
          f"{numbers['disturbed']} disturbed, {numbers['other']} other; up again after "
          f"{statistics.median(rounds.start_times) * 1000:.0f} ms, "
          f"at most {max(rounds.start_times) * 1000:.0f}")
    if blind and not args.mutate:
        print(f"the checker is blind: it did not find what was falsified: {blind}")
    if args.json:
        print(json.dumps(dict(numbers, acknowledged=len(accounts.acknowledged), started=starts,
                              long=N_LONG, blind=blind)))
    return 1 if sum(numbers.values()) or blind else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", required=True, help="where gatherd is")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true", help="the numbers once more, as JSON")
    parser.add_argument("--mutate", choices=("lost", "twice", "disturbed", "other"),
                        help="falsify the accounts: the exit status must be 1")
    args = parser.parse_args()
    daemon.prepare()
    start = time.monotonic()
    rounds = Rounds(args)
    try:
        accounts = rounds.run()
    except RuntimeError as e:
        print(f"seed {args.seed}: {e}\n{rounds.server.log()}", file=sys.stderr)
        return 1
    finally:
        rounds.server.stop()
    return report(args, rounds, accounts, time.monotonic() - start)


if __name__ == "__main__":
    sys.exit(main())
