"""The benchmark: `make bench` measures this machine and writes ``bench/results.json``.

Each case runs in rounds that alternate between ours and a reference, so that what else the machine
does meets both; the table shows medians. Wall figures go with CPU microseconds an operation, which
tell more where the machine is busy. The load comes from a process of its own.
"""
