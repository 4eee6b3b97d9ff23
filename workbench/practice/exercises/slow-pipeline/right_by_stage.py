import asyncio
import math


class Stopwatch:
    def __init__(self):
        self.clock = asyncio.get_running_loop().time

    async def time(self, stage, value):
        start = self.clock()
        result = await stage(value)
        return result, self.clock() - start


async def choose(stages, spares, questions):
    watch = Stopwatch()
    before, after, same = [], {name: [] for name in stages}, set(stages)
    for value in questions:
        total, saved = 0.0, {}
        for name, stage in stages.items():
            result, seconds = await watch.time(stage, value)
            other, faster = await watch.time(spares[name], value)
            if other != result:
                same.discard(name)
            saved[name] = seconds - faster
            total += seconds
            value = result
        before.append(total)
        for name in stages:
            after[name].append(total - saved[name])
    place = math.ceil(0.99 * len(before)) - 1
    return min(same, key=lambda name: sorted(after[name])[place])
