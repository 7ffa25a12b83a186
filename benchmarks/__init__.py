"""What a training step costs, measured: `python -m benchmarks`, or `make bench`.

Every figure is a ratio of times taken in turn in one process, on the same samples and the same weights, with one thread; the
absolute times belong to the machine they were taken on. What each file measures, and what not, stands in its first lines.
"""
