import time


async def seconds(stage, value):
    start = time.perf_counter()
    result = await stage(value)
    return result, time.perf_counter() - start


async def choose(stages, spares, questions):
    factors = {name: [] for name in stages}
    wrong = set()
    for value in questions:
        for name, stage in stages.items():
            result, before = await seconds(stage, value)
            other, after = await seconds(spares[name], value)
            factors[name].append(before / after)
            if other != result:
                wrong.add(name)
            value = result
    return max((name for name in stages if name not in wrong), key=lambda name: max(factors[name]))
