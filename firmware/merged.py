# Marks that are too many for one frame. Loaded when there are.


# One run a channel, over everything marked: good samples are given up rather than a bad one passed as good.
def merged(marks):
    runs = {}
    for channel, mark, start, length in marks:
        run = runs.get(channel)
        if run:
            end = max(run[2] + run[3], start + length)
            start = min(run[2], start)
            length = end - start
            mark = run[1]
        runs[channel] = (channel, mark, start, length)
    return [runs[channel] for channel in sorted(runs)]
