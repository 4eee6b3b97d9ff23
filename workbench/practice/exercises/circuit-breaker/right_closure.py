import asyncio


class CircuitOpenError(Exception):
    pass


class CircuitBreaker:
    """The state is one tuple; a call remembers the generation in which it began."""

    def __init__(self, now, *, window=30.0, minimum=10, threshold=0.5, slow=5.0, cooldown=20.0):
        generation, opened, probe, ended = 0, None, None, []

        async def call(fn):
            nonlocal generation, opened, probe, ended
            began, me = now(), object()
            if opened is not None:
                if probe is not None or began < opened + cooldown:
                    raise CircuitOpenError("open")
                probe = me
            mine, outcome = generation, None
            try:
                result = await fn()
                outcome = now() - began <= slow
                return result
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                outcome = getattr(error, "status", 0) // 100 == 4
                raise
            finally:
                at = now()
                if probe is me:
                    probe = None
                    if outcome is not None:
                        opened = None if outcome else at
                        generation, ended = generation + 1, []
                elif mine == generation and opened is None and outcome is not None:
                    ended = [each for each in ended if each[0] > at - window] + [(at, outcome)]
                    bad = [each for each in ended if not each[1]]
                    if len(ended) >= minimum and len(bad) >= threshold * len(ended):
                        opened, generation = at, generation + 1

        self.call = call
