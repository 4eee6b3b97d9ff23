import anyio


async def bounded(limit, function, *args):
    async with anyio.CapacityLimiter(limit):
        return await function(*args)


async def fan_out(client, prompts, limit):
    results = {}

    async def ask(index, prompt):
        messages = [{"role": "user", "content": prompt}]
        try:
            answer = await client.chat.completions.create(model="gpt-5.5", messages=messages)
            results[index] = answer.choices[0].message.content
        except Exception as error:
            results[index] = error

    async with anyio.create_task_group() as group:
        for index, prompt in enumerate(prompts):
            group.start_soon(bounded, limit, ask, index, prompt)
    return [results[index] for index in range(len(prompts))]
