"""A Python loop that stays inside the interpreter. Usage: script.py SECONDS; prints its CPU time in
milliseconds at the end."""
import resource
import sys
import time


def busy(count):
    total = 0
    for i in range(count):
        total += i * i % 7
    return total


until = time.time() + float(sys.argv[1] if len(sys.argv) > 1 else 5)
while time.time() < until:
    busy(100_000)
used = resource.getrusage(resource.RUSAGE_SELF)
print(int((used.ru_utime + used.ru_stime) * 1000))
