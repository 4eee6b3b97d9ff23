import time


async def score_all(fetch, score, ids, limit):
    """Return the score of each document, in the order of ids."""
    scores = []
    for number in ids:
        while (text := fetch(number)) is None:
            time.sleep(0.5)
        scores.append(score(text))
    return scores
