import anyio


async def fan_out(client, prompts, limit):
    limiter = anyio.CapacityLimiter(limit)
    results = [None] * len(prompts)

    async def ask(index):
        async with limiter:
            try:
                messages = [{"role": "user", "content": prompts[index]}]
                answer = await client.chat.completions.create(model="gpt-5.5", messages=messages)
                results[index] = answer.choices[0].message.content
            except Exception as error:
                results[index] = error

    async with anyio.create_task_group() as group:
        for index in range(len(prompts)):
            group.start_soon(ask, index)
    return results
