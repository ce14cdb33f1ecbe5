"""Threads, queues, locks, events, timers and a pool of threads, whose results do not
depend on who runs when."""

import concurrent.futures
import queue
import threading
import time

jobs, results = queue.Queue(maxsize=8), queue.Queue()


def work():
    while (item := jobs.get()) is not None:
        results.put(item * item)
        jobs.task_done()
    jobs.task_done()


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for item in range(500):
    jobs.put(item)
for _ in threads:
    jobs.put(None)
jobs.join()
for thread in threads:
    thread.join()
print("queue", sum(results.get() for _ in range(results.qsize())))

lock, total = threading.Lock(), 0


def count():
    global total
    for _ in range(1000):
        with lock:
            total += 1


threads = [threading.Thread(target=count) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("lock", total)

with concurrent.futures.ThreadPoolExecutor(6) as pool:
    print("pool", list(pool.map(lambda n: n**3, range(20))))

turn, condition, order = 0, threading.Condition(), []


def take_turn(number):
    global turn
    with condition:
        condition.wait_for(lambda: turn == number)
        order.append(number)
        turn += 1
        condition.notify_all()


threads = [threading.Thread(target=take_turn, args=(n,)) for n in reversed(range(12))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("condition", order)

event = threading.Event()
timer = threading.Timer(0.05, event.set)
timer.start()
print("event", event.wait(), "then", event.wait(timeout=0))
try:
    queue.Queue().get(timeout=0.05)
except queue.Empty:
    print("queue timed out")

before = time.monotonic()
time.sleep(0.1)
print("slept", time.monotonic() - before >= 0.1)

local = threading.local()
local.value = "main"
seen = []
thread = threading.Thread(target=lambda: seen.append(hasattr(local, "value")))
thread.start()
thread.join()
print("local", local.value, seen)

barrier = threading.Barrier(5)
tickets = []
threads = [threading.Thread(target=lambda: tickets.append(barrier.wait())) for _ in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("barrier", sorted(tickets))


def fail():
    raise ValueError("in a thread")


with concurrent.futures.ThreadPoolExecutor(1) as pool:
    print("exception", repr(pool.submit(fail).exception()))
